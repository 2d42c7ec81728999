// Makes a folder with those above it. Not Node's own recursive mkdir: where the kernel says ENOENT though the parent is there, as
// /proc does, that one tries for ever (Node 26).
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @param path absolute @param mode of what is made; what is there keeps its own
 * @throws the file system's error
 */
export function makeFolders(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolders(dirname(path), mode);
    mkdirUnlessThere(path, mode);
  }
}

/** Somebody else may make the same meanwhile. */
function mkdirUnlessThere(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
