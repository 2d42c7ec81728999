// The words for what virtiofsd's guests may keep; apart from virtiofsd.ts, so that who only names them loads nothing else.

/**
 * What the guest may keep of what it has read: `auto` for a second, after which it looks whether the host has changed the
 * file; `always` for as long as it likes, for a folder that only this guest changes; `never` nothing, and then files cannot
 * be mapped shared.
 */
export const CACHE_POLICIES = ['auto', 'always', 'never'] as const;
export type CachePolicy = (typeof CACHE_POLICIES)[number];
