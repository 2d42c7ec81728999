// The engines that can be set up, by the names they are called.
import { containerd } from './containerd.ts';
import { crio } from './crio.ts';
import { docker } from './docker.ts';
import type { Engine } from './engine.ts';
import { kubernetes } from './kubernetes.ts';
import { podman } from './podman.ts';

export const ENGINES: Readonly<Record<string, Engine>> = { docker, podman, containerd, crio, kubernetes };
