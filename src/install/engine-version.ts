// What an engine says of its version: "Docker version 26.1.5+dfsg1, build a72d7cd", "containerd containerd.io 1.7.27 05044ec",
// "containerd github.com/containerd/containerd/v2 v2.2.1 deadbeef".

export interface EngineVersion {
  readonly major: number;
  readonly minor: number;
  /** For messages. */
  readonly text: string;
}

export function parseEngineVersion(said: string | undefined): EngineVersion | undefined {
  const [, text, major, minor] = /\bv?((\d+)\.(\d+)\.\d+)/.exec(said ?? '') ?? [];
  return text === undefined ? undefined : { major: Number(major), minor: Number(minor), text };
}
