// A tour of the IMAP server with ImapFlow, on which Node programs and web mailers stand.
//
// Arguments: HOST PORT USER. On stdin: the password. Prints one line per thing that was seen to
// work; any failure is an exception.

const assert = require("node:assert");
const fs = require("node:fs");
const { ImapFlow } = require("imapflow");

const [host, port, user] = process.argv.slice(2);
const pass = fs.readFileSync(0, "utf8").trim();
const DRAFT = "From: <a@b.example>\r\nSubject: by imapflow\r\n\r\nNo line end at the end";

const connect = async () => {
    const client = new ImapFlow({
        host,
        port: Number(port),
        secure: false,
        doSTARTTLS: false,
        auth: { user, pass },
        qresync: true,
        logger: false,
    });
    await client.connect();
    return client;
};

const main = async () => {
    const client = await connect();
    for (const name of ["QRESYNC", "OBJECTID", "COMPRESS=DEFLATE", "SPECIAL-USE"]) {
        assert(client.capabilities.has(name), name);
    }
    assert.strictEqual(client.serverInfo.name, "Letterlock");
    console.log("login");

    const boxes = await client.list({ statusQuery: { messages: true, unseen: true } });
    const sent = boxes.find((box) => box.specialUse === "\\Sent");
    assert.strictEqual(sent.path, "Sent");
    await client.mailboxCreate(["Grün", "Bünt"]);
    await client.mailboxRename(["Grün", "Bünt"], ["Grün", "Rot"]);
    const names = (await client.list()).map((box) => box.path);
    assert(names.includes("Grün/Rot"), names);
    await client.mailboxDelete("Grün/Rot");
    await client.mailboxDelete("Grün");
    console.log("folders");

    const lock = await client.getMailboxLock("INBOX");
    const count = client.mailbox.exists;
    const all = await client.fetchAll("1:*", { uid: true, flags: true, envelope: true, bodyStructure: true, threadId: true });
    assert.strictEqual(all.length, count);
    assert(all.every((one) => one.emailId && one.threadId && one.modseq), all[0]);
    lock.release();
    console.log("fetch");

    const added = await client.append("Drafts", DRAFT, ["\\Draft", "Tour"], new Date("2026-02-01T03:04:05Z"));
    await client.mailboxOpen("Drafts");
    assert.deepStrictEqual(await client.search({ keyword: "Tour" }, { uid: true }), [added.uid]);
    const one = await client.fetchOne(added.uid, { source: true, internalDate: true, size: true }, { uid: true });
    assert.strictEqual(one.source.toString(), DRAFT);
    assert.strictEqual(one.internalDate.toISOString(), "2026-02-01T03:04:05.000Z");
    const { meta, content } = await client.download(added.uid, "TEXT", { uid: true });
    let text = "";
    for await (const chunk of content) {
        text += chunk;
    }
    assert(text.includes("No line end") && meta, text);
    assert(await client.messageFlagsAdd(added.uid, ["\\Flagged"], { uid: true }));
    assert(await client.messageFlagsRemove(added.uid, ["Tour"], { uid: true }));
    const flags = (await client.fetchOne(added.uid, { flags: true }, { uid: true })).flags;
    assert(flags.has("\\Flagged") && !flags.has("Tour"), [...flags]);
    const copied = await client.messageCopy(added.uid, "Archive", { uid: true });
    assert(copied.uidMap.has(added.uid));
    const moved = await client.messageMove(added.uid, "Trash", { uid: true });
    assert(moved.uidMap.has(added.uid));
    await client.mailboxOpen("Trash");
    assert(await client.messageDelete("1:*"));
    assert.strictEqual(client.mailbox.exists, 0);
    console.log("change");

    await client.mailboxOpen("Archive");
    const heard = new Promise((resolve) => client.once("exists", resolve));
    const idling = client.idle();
    const other = await connect();
    await other.append("Archive", DRAFT);
    await other.logout();
    const event = await heard;
    assert.strictEqual(event.count, 2);
    await client.noop();
    await idling;
    console.log("idle");

    // Back with QRESYNC: what was flagged and expunged meanwhile is told, and nothing else.
    const { uidValidity, highestModseq } = client.mailbox;
    await client.logout();
    const busy = await connect();
    await busy.mailboxOpen("Archive");
    const [first, second] = await busy.search({ all: true }, { uid: true });
    await busy.messageFlagsAdd(first, ["\\Answered"], { uid: true });
    await busy.messageDelete(second, { uid: true });
    await busy.logout();
    const back = await connect();
    const changes = [];
    back.on("flags", (change) => changes.push(["flags", change.uid]));
    back.on("expunge", (change) => changes.push(["gone", change.uid]));
    await back.mailboxOpen("Archive", { changedSince: highestModseq, uidValidity });
    await back.noop();
    changes.sort();
    assert.deepStrictEqual(changes, [["flags", first], ["gone", second]]);
    console.log("resync");
    await back.logout();
};

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
