// What the programs say of themselves.

/** Version of this project, as in package.json: a test compares. */
export const VERSION = '0.1.0';

/** Version of the OCI runtime specification that `tskata` follows. */
export const OCI_RUNTIME_SPEC_VERSION = '1.2.0';
