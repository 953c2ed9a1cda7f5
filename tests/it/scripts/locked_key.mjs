// A key as OpenPGP.js makes and locks it, which is how Proton's programs export theirs: armored,
// on the output; the passphrase comes in.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const openpgp = createRequire(process.env.NODE_PATH + '/')('openpgp');
const made = await openpgp.generateKey({
  type: 'ecc',
  curve: 'curve25519Legacy',
  userIDs: [{ name: 'Alice', email: process.argv[2] }],
  passphrase: readFileSync(0, 'utf8'),
});
process.stdout.write(made.privateKey);
