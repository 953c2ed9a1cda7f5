// OpenPGP.js behind the same four words as judge.py.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';

const openpgp = createRequire(process.env.NODE_PATH + '/')('openpgp');
const [word, ...given] = process.argv.slice(2);
const options = Object.fromEntries(
  given.filter((one) => one.startsWith('--')).map((one) => one.slice(2).split('=')),
);
const files = given.filter((one) => !one.startsWith('--'));
const octets = readFileSync(0);
const secret = (path) => openpgp.readPrivateKey({ armoredKey: readFileSync(path, 'utf8') });
const open = (path) => openpgp.readKey({ armoredKey: readFileSync(path, 'utf8') });

async function allValid(signatures) {
  if (signatures.length === 0) throw new Error('no signature');
  for (const signature of signatures) await signature.verified;
}

const words = {
  async sign() {
    const message = await openpgp.createMessage({ binary: octets });
    return openpgp.sign({ message, signingKeys: await secret(files[0]), detached: true });
  },
  async verify() {
    const signature = await openpgp.readSignature({ armoredSignature: readFileSync(files[0], 'utf8') });
    const message = await openpgp.createMessage({ binary: octets });
    const verificationKeys = await open(files[1]);
    const found = await openpgp.verify({ message, signature, verificationKeys });
    await allValid(found.signatures);
    return '';
  },
  async encrypt() {
    const message = await openpgp.createMessage({ binary: octets });
    const signer = options['sign-with'];
    const signingKeys = signer ? await secret(signer) : undefined;
    return openpgp.encrypt({ message, encryptionKeys: await open(files[0]), signingKeys });
  },
  async decrypt() {
    const message = await openpgp.readMessage({ armoredMessage: octets.toString() });
    const by = options['verify-with'];
    const opened = await openpgp.decrypt({
      message,
      decryptionKeys: await secret(files[0]),
      verificationKeys: by ? await open(by) : undefined,
      format: 'binary',
    });
    if (by) {
      await allValid(opened.signatures);
      writeFileSync(options['verifications-out'], 'good\n', { flag: 'wx' });
    }
    return Buffer.from(opened.data);
  },
};
process.stdout.write(await words[word]());
