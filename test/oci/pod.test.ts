// Namespaces on the host and pods, with the guest's agent in namespaces of this machine in the place of virtual machines.
import { describeNamespaces } from './namespace-cases.ts';
import { ON_AGENT } from './on-agent.ts';
import { describePodFailures, describePods } from './pod-cases.ts';

describeNamespaces(ON_AGENT);
describePods(ON_AGENT);
describePodFailures(ON_AGENT);
