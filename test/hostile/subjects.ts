// Every device that a guest can have, for the hostile suite: a new one is a line here.
import type { Subject } from './subject.ts';
import { balloon } from './subjects/balloon.ts';
import { block, readOnlyBlock } from './subjects/block.ts';
import { console } from './subjects/console.ts';
import { fs } from './subjects/fs.ts';
import { mem } from './subjects/mem.ts';
import { net } from './subjects/net.ts';
import { rng } from './subjects/rng.ts';
import { vsock } from './subjects/vsock.ts';

export const SUBJECTS: readonly Subject[] = [balloon, block, readOnlyBlock, console, fs, mem, net, rng, vsock];
