// The library: what a program that wants virtual machines needs.
export { type KvmVerdict, probeKvm } from './hypervisor/kvm/probe.ts';
export { BootFileError, buildVm, type VmConnections } from './vmm/builder.ts';
export {
  checkVmConfig,
  type DiskConfig,
  parseMemoryMib,
  type ShareConfig,
  type VmConfig,
  VmConfigError,
  type VsockConfig,
} from './vmm/config.ts';
export { Timeline, type TimelineMark, timelineRows, timelineSvg, timelineTable } from './vmm/timeline.ts';
export { describeStop, type StopReason, Vm } from './vmm/vm.ts';
