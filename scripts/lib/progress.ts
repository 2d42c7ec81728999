// What a person sees while something takes long: a bar on a terminal, a line now and then elsewhere. All on stderr.
import { Presets, SingleBar } from 'cli-progress';

/** Steps that end sooner than this show nothing but their closing line. */
const QUIET_MS = 2000;
/** Without a terminal (CI logs): a line at most this often. */
const LINE_INTERVAL_MS = 15_000;

/** A long step that is under way. */
export interface Step extends Disposable {
  /** Moves the bar. `total` may change while the step runs; a detail is shown behind the bar. */
  update(done: number, total: number, detail?: string): void;
}

function seconds(fromMs: number): string {
  return `${((performance.now() - fromMs) / 1000).toFixed(1)} s`;
}

/**
 * Starts a step named as a person would say it ("building the guest kernel"). Dispose it when it ends, failed or not.
 * @param total what `update` counts up to; 0 when nothing can be counted (a ticking clock is shown then)
 */
export function startStep(name: string, total = 0): Step {
  const startMs = performance.now();
  const terminal = process.stderr.isTTY === true;
  let bar: SingleBar | undefined;
  let state = { done: 0, total, detail: '' };
  let shown = false;
  let lastLineMs = startMs;
  const show = (): void => {
    if (performance.now() - startMs < QUIET_MS) return;
    if (terminal) {
      bar ??= startBar(name);
      bar.setTotal(Math.max(state.total, 1));
      bar.update(state.done, { detail: state.detail, seconds: seconds(startMs) });
    } else if (!shown || performance.now() - lastLineMs > LINE_INTERVAL_MS) {
      const share = state.total > 0 ? ` ${Math.floor((100 * state.done) / state.total)}%` : '';
      process.stderr.write(`tskata: ${name}:${share} ${state.detail} (${seconds(startMs)})\n`);
      lastLineMs = performance.now();
    }
    shown = true;
  };
  const ticker = setInterval(show, 500);
  ticker.unref();
  return {
    update(done, newTotal, detail = '') {
      state = { done, total: newTotal, detail };
    },
    [Symbol.dispose]() {
      clearInterval(ticker);
      bar?.stop();
      if (shown) process.stderr.write(`tskata: ${name}: ended after ${seconds(startMs)}\n`);
    },
  };
}

function startBar(name: string): SingleBar {
  const bar = new SingleBar(
    {
      format: `${name} {bar} {percentage}% {detail} {seconds}`,
      stream: process.stderr,
      clearOnComplete: true,
      barsize: 24,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0, { detail: '', seconds: '' });
  return bar;
}
