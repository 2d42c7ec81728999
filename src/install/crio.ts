// CRI-O: a drop-in of crio.conf(5). No `allowed_annotations`: CRI-O passes pods' annotations on without, and does not start when it
// finds a name there that it does not know. No `drop_infra_ctr`: CRI-O keeps the pod's own container, whose machine the others are
// put into, where the handler's name has "kata" in it, as ours does (podIsKernelSeparated of server/sandbox_run_linux.go).
import { type Engine, RUNTIME } from './engine.ts';
import { withoutBlock } from './marked-block.ts';
import { checkNobodysElse, othersTable, tableAt, toml, withLines } from './toml-engine.ts';

const FOLDER = '/etc/crio/crio.conf.d';
const RELOAD = 'let CRI-O read it: systemctl restart crio';

export const crio: Engine = {
  file: `${FOLDER}/50-${RUNTIME}.conf`,
  install(found, { program }) {
    checkNobodysElse(tableAt(othersTable(found), 'crio', 'runtime', 'runtimes'), found.path);
    const lines = [
      `[crio.runtime.runtimes.${RUNTIME}]`,
      `runtime_path = ${toml(program)}`,
      'runtime_type = "oci"',
      `runtime_root = ${toml(`/run/${RUNTIME}`)}`,
      '# A privileged container has the devices of its own machine, not those of the host.',
      'privileged_without_host_devices = true',
    ];
    return { text: withLines(found, lines.join('\n')) };
  },
  uninstall(found) {
    othersTable(found);
    return { text: found.text === undefined ? undefined : withoutBlock(found.text) };
  },
  next: {
    install: `${RELOAD}; then: tskata install kubernetes | kubectl apply -f -`,
    uninstall: RELOAD,
  },
};
