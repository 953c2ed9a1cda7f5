"""Thunderbird against the IMAP server: mail is listed, one opened, one moved.

Arguments: HOST PORT USER FOLDER. On stdin: the password. A fresh profile with the account is made
in FOLDER, Thunderbird runs in it on a display of its own (Xvfb), and is told what to do through
Marionette, as a person would do it with the mouse. Prints one line per thing that was seen.

It must not ask for the password at its start: Marionette waits for a window without a dialog. So
nothing is fetched before the password is among the saved ones.
"""

import imaplib
import json
import os
import socket
import subprocess
import sys
import time

WAIT = 200


def preferences(host, port, user):
    return {
        "app.update.enabled": False,
        "browser.dom.window.dump.enabled": True,
        "datareporting.policy.dataSubmissionEnabled": False,
        "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
        "mail.inappnotifications.enabled": False,
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.rights.version": 1,
        "mail.shell.checkDefaultClient": False,
        "mail.spotlight.firstRunDone": True,
        "mailnews.start_page.enabled": False,
        "marionette.port": 0,
        "services.settings.server": "data:,#remote-settings-dummy",
        "toolkit.telemetry.reportingpolicy.firstRun": False,
        "mail.accountmanager.accounts": "account1,account2",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.accountmanager.localfoldersserver": "server2",
        "mail.account.account1.identities": "id1",
        "mail.account.account1.server": "server1",
        "mail.account.account2.server": "server2",
        "mail.identity.id1.fullName": "Alice",
        "mail.identity.id1.useremail": user,
        "mail.identity.id1.valid": True,
        "mail.server.server1.authMethod": 3,
        "mail.server.server1.check_new_mail": False,
        "mail.server.server1.hostname": host,
        "mail.server.server1.login_at_startup": False,
        "mail.server.server1.name": user,
        "mail.server.server1.port": int(port),
        "mail.server.server1.socketType": 0,
        "mail.server.server1.type": "imap",
        "mail.server.server1.userName": user,
        "mail.server.server2.hostname": "Local Folders",
        "mail.server.server2.type": "none",
        "mail.server.server2.userName": "nobody",
    }


class Marionette:
    """Messages are a length, a colon and JSON."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=WAIT).makefile("rwb")
        self.count = 0
        self.receive()

    def receive(self):
        digits = b""
        while not digits.endswith(b":"):
            octet = self.stream.read(1)
            if not octet:
                raise EOFError("Thunderbird has gone")
            digits += octet
        return json.loads(self.stream.read(int(digits[:-1])))

    def ask(self, name, **parameters):
        self.count += 1
        message = json.dumps([0, self.count, name, parameters]).encode()
        self.stream.write(b"%d:%s" % (len(message), message))
        self.stream.flush()
        _, _, error, result = self.receive()
        if error:
            raise RuntimeError(error)
        return result

    def run(self, script, *arguments):
        """Runs JavaScript with Thunderbird's own rights."""
        script = (
            "const resolve = arguments[arguments.length - 1]; (async (...args) => {" + PRELUDE + script
            + "})(...arguments).then(v => resolve([true, v]), e => resolve([false, e + e.stack]));"
        )
        good, value = self.ask("WebDriver:ExecuteAsyncScript", script=script, args=arguments)["value"]
        if not good:
            raise RuntimeError(value)
        return value


PRELUDE = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const servers = MailServices.accounts.accounts.map(account => account.incomingServer);
const server = servers.find(server => server.type == "imap");
const win = Services.wm.getMostRecentWindow("mail:3pane");
const folder = flag => server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags[flag]);
const headers = folder => [...folder.msgDatabase.enumerateMessages()];
const named = (folder, subject) => headers(folder).find(one => one.mime2DecodedSubject == subject);
const until = async (what, test) => {
    for (let i = 0; i < 1000; i++) {
        const found = await test();
        if (found) return found;
        await new Promise(resolve => setTimeout(resolve, 100));
    }
    throw new Error("never: " + what);
};
"""

LIST = """
const [origin, user, password, last] = args;
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init(origin, null, origin, user, password, "", "");
await Services.logins.addLoginAsync(login);
server.getNewMessages(folder("Inbox"), win.msgWindow, null);
await until("mail", () => folder("Inbox").getTotalMessages(false) && named(folder("Inbox"), last));
server.performExpand(win.msgWindow);
await until("folders", () => folder("Archive") && folder("Trash") && folder("SentMail"));
return headers(folder("Inbox")).length;
"""

OPEN = """
const [subject, words] = args;
const pane = await until("a pane", () => win.document.getElementById("tabmail").currentAbout3Pane);
// While it hears which mailboxes there are, Thunderbird has no inbox for a moment.
const header = await until("the header", () => folder("Inbox") && named(folder("Inbox"), subject));
pane.displayFolder(header.folder.URI);
const row = await until("a row", () => {
    const row = pane.gDBView ? pane.gDBView.findIndexOfMsgHdr(header, true) : -1;
    return row < 0 ? false : [row];
});
pane.threadTree.selectedIndex = row[0];
await until("the letter", () => {
    const browser = pane.messageBrowser?.contentWindow?.getMessagePaneBrowser?.();
    return browser?.contentDocument?.body?.textContent.includes(words);
});
await until("that it was seen", () => header.isRead);
"""

MOVE = """
const [subject] = args;
const header = await until("the header", () => folder("Inbox") && named(folder("Inbox"), subject));
const archive = await until("the archive", () => folder("Archive"));
const moved = new Promise(resolve => {
    const listener = { onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() {}, onStopCopy: resolve };
    MailServices.copy.copyMessages(header.folder, [header], archive, true, listener, win.msgWindow, true);
});
if ((await moved) != 0) throw new Error("not moved");
"""


def start(command, **more):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def wait_for_server(server, user, password, wanted, *criteria):
    """Thunderbird tells the server when it has time; it must not be ended before. Waits until a
    search of INBOX finds something, or nothing."""
    imap = imaplib.IMAP4(*server)
    imap.login(user, password)
    imap.select("INBOX", readonly=True)
    end = time.monotonic() + WAIT
    while bool(imap.search(None, *criteria)[1][0]) != wanted:
        if time.monotonic() > end:
            raise TimeoutError(f"Thunderbird does not tell the server: {criteria}")
        time.sleep(0.2)
        imap.noop()
    imap.logout()


def tour(host, port, user, password, profile):
    active = os.path.join(profile, "MarionetteActivePort")
    end = time.monotonic() + WAIT
    while not (os.path.exists(active) and open(active).read().strip()):
        if time.monotonic() > end:
            raise TimeoutError("Thunderbird does not start")
        time.sleep(0.1)
    thunderbird = Marionette(int(open(active).read()))
    thunderbird.ask("WebDriver:NewSession", capabilities={})
    thunderbird.ask("Marionette:SetContext", value="chrome")
    thunderbird.ask("WebDriver:SetTimeouts", script=WAIT * 1000)
    last = "Thirteen o'clock"
    count = thunderbird.run(LIST, "imap://" + host, user, password, last)
    print("listed", count)
    opened = "The lamp is lit"
    thunderbird.run(OPEN, opened, "electricians")
    server = (host, int(port))
    wait_for_server(server, user, password, True, "SEEN", "SUBJECT", f'"{opened}"')
    print("opened")
    thunderbird.run(MOVE, last)
    wait_for_server(server, user, password, False, "UNDELETED", "SUBJECT", f'"{last}"')
    print("moved")


def main():
    host, port, user, folder = sys.argv[1:5]
    password = sys.stdin.read().strip()
    profile = os.path.join(folder, "profile")
    os.mkdir(profile)
    with open(os.path.join(profile, "user.js"), "w") as file:
        for name, value in preferences(host, port, user).items():
            file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
    read, write = os.pipe()
    display = start(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"], pass_fds=[write])
    os.close(write)
    environment = dict(os.environ, HOME=folder, DISPLAY=":" + os.read(read, 16).decode().strip())
    command = ["thunderbird", "--profile", profile, "--no-remote", "--marionette", "--remote-allow-system-access"]
    thunderbird = start(command, env=environment)
    try:
        tour(host, port, user, password, profile)
    finally:
        for program in (thunderbird, display):
            program.terminate()
        for program in (thunderbird, display):
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()


main()
