// What a VM may be at most, and the words for what its memory is made of: apart from config.ts, so that who only names them does
// not load the devices.

/** What guest memory may consist of besides ordinary pages. */
export const HUGE_PAGE_SIZES = ['2M', '1G', 'transparent'] as const;
export type HugePageSize = (typeof HUGE_PAGE_SIZES)[number];

export const MAXIMUM_CPUS = 32;
