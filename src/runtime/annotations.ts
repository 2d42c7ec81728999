// Settings of one sandbox in the annotations of its container: ours, `io.tskata.KEY`, and those of Kata's that mean the same.
import { SANDBOX_ID_ANNOTATION } from '../oci/cri-annotations.ts';
import {
  ANNOTATION_KEY_NAMES,
  type AnnotationKey,
  didYouMean,
  invalid,
  KATA_ANNOTATIONS,
  type Settings,
  withAnnotation,
} from './configuration.ts';

export type Annotations = Readonly<Record<string, string>>;

const PREFIX = 'io.tskata.';

/** Whoever writes annotations may only lower them. 0 stands for the host's own size. */
const CEILINGS = ['default_maxvcpus', 'default_maxmemory'] as const;

/**
 * Settings with what the annotations say. Ours win over Kata's; Kata's others mean nothing here and are passed over.
 * @throws RuntimeError INVALID_CONFIGURATION for a key of ours that there is not, for one that `enable_annotations` does not
 *   name, for a value that is not allowed, for a maximum above the configuration's
 */
export function withAnnotations(settings: Settings, annotations: Annotations = {}): Settings {
  const names = Object.keys(annotations);
  const found = new Map<AnnotationKey, string>();
  for (const name of names) {
    const key = KATA_ANNOTATIONS.get(name);
    if (key !== undefined) found.set(key, name);
  }
  const ours = names.filter((name) => name.startsWith(PREFIX) && name !== SANDBOX_ID_ANNOTATION);
  for (const name of ours) found.set(ownKey(name), name);
  let result = settings;
  for (const [key, name] of found) {
    if (!settings.values.enable_annotations.includes(key)) {
      const message = `annotation ${name} is not allowed: to allow it, name ${key} in enable_annotations of the configuration`;
      throw invalid(message, { key });
    }
    result = withAnnotation(result, key, annotations[name] ?? '', name);
  }
  checkCeilings(settings, result);
  return result;
}

function ownKey(annotation: string): AnnotationKey {
  const name = annotation.slice(PREFIX.length);
  const key = ANNOTATION_KEY_NAMES.find((key) => key === name);
  if (key !== undefined) return key;
  throw invalid(`there is no annotation ${annotation}${didYouMean(name, ANNOTATION_KEY_NAMES)}`, { key: name });
}

function checkCeilings({ values: allowed }: Settings, { values: asked, sources }: Settings): void {
  for (const key of CEILINGS) {
    const isAbove = allowed[key] > 0 && (asked[key] === 0 || asked[key] > allowed[key]);
    if (!isAbove) continue;
    throw invalid(`${sources[key]} is ${asked[key]}; allowed is 1 to ${allowed[key]}, the host's ${key}`, { key });
  }
}
