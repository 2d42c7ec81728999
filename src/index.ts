// The library: what a program that wants virtual machines needs.
export { ApiError } from './api/api-error.ts';
export type { VmControl } from './api/control.ts';
export { serveApi } from './api/serve.ts';
export type { ApiServer } from './api/server.ts';
export { UnixListenerError } from './host/unix-listener.ts';
export { type KvmVerdict, probeKvm } from './hypervisor/kvm/probe.ts';
export { BootFileError } from './vmm/boot-files.ts';
export { buildVm } from './vmm/builder.ts';
export { checkVmConfig, type VmConfig } from './vmm/config.ts';
export { VmConfigError } from './vmm/config-error.ts';
export { describedVm, mergeDescriptions, type VmDescription } from './vmm/description.ts';
export { readDescriptionFile } from './vmm/description-file.ts';
export type { DiskConfig } from './vmm/devices/disk.ts';
export type { NetConfig } from './vmm/devices/net.ts';
export type { ShareConfig } from './vmm/devices/share.ts';
export type { VsockConfig } from './vmm/devices/vsock.ts';
export type { HugePageSize } from './vmm/limits.ts';
export type { VmConnections } from './vmm/machine.ts';
export type { DeviceMetrics, MemoryMetrics, VmMetrics } from './vmm/metrics.ts';
export {
  type BalloonStats,
  type ConsoleAttachment,
  type ConsoleName,
  type ConsoleReader,
  type ShutdownMethod,
  type VmEvent,
  VmOperationError,
  type VmResize,
  type VmSize,
  type VmSummary,
} from './vmm/operations.ts';
export { type VmReport, vmReport } from './vmm/report.ts';
export { reportSvg } from './vmm/report-svg.ts';
export { type RestoredDevices, type RestoreOptions, restoreVm } from './vmm/restore.ts';
export { parseMemoryMib } from './vmm/sizes.ts';
export { SnapshotError } from './vmm/snapshot-folder.ts';
export { describeStop, type StopReason } from './vmm/stop-reason.ts';
export { Timeline, type TimelineMark, timelineRows, timelineSvg, timelineTable } from './vmm/timeline.ts';
export { VmStateError } from './vmm/vcpu-group.ts';
export { Vm, type VmState } from './vmm/vm.ts';
