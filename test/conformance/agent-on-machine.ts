// The agent as a process of this machine, in namespaces of its own: quick, but without the controllers that only a guest has.
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAgent } from '../agent/harness.ts';
import { AgentEngine } from './agent-engine.ts';

/** Where machines have the tree of cgroup v2: all of it, or beside the hierarchies of version 1. */
const CGROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

export async function startAgentOnMachine(): Promise<AgentEngine> {
  const agent = await TestAgent.start();
  const places = join(agent.directory, 'places');
  mkdirSync(places);
  // Users of user namespaces pass through.
  for (const folder of [agent.directory, places]) chmodSync(folder, 0o711);
  const file = CGROUPS.map((folder) => join(folder, 'cgroup.controllers')).find((path) => existsSync(path));
  return new AgentEngine('the agent on this machine', {
    worlds: ['machine', 'guest'],
    controllers: file === undefined ? [] : readFileSync(file, 'utf8').trim().split(' '),
    tries: 30,
    shared: { outside: places, inside: places },
    call: (name, request) => agent.call(name, request),
    wait: (request) => agent.call('WaitProcess', request),
    stream: (stdio, name) => agent.stream(stdio, name),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  });
}
