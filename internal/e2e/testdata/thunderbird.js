// What the test does with Thunderbird, in Thunderbird's own terms.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const tb = {
  get server() { return MailServices.accounts.defaultAccount.incomingServer; },

  // What a folder's update ends with.
  async update(name) {
    const folder = (await tb.folder(name)).QueryInterface(Ci.nsIMsgImapMailFolder);
    await new Promise((resolve, reject) => folder.updateFolderWithListener(null, {
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) { Components.isSuccessCode(status) ? resolve() : reject(new Error("status " + status)); },
    }));
  },

  async until(what, f) {
    for (let i = 0; i < 300; i++) {
      const value = f();
      if (value) return value;
      await new Promise(r => setTimeout(r, 100));
    }
    throw new Error("no " + what + ": " + JSON.stringify(tb.picture()));
  },

  folder(name) {
    return tb.until("folder " + name, () => [...tb.server.rootFolder.descendants].find(f => f.name.toLowerCase() == name.toLowerCase()));
  },

  message(folder, subject) {
    return tb.until("message " + subject, () => [...folder.messages].find(m => m.mime2DecodedSubject == subject));
  },

  async source(folder, message) {
    const uri = folder.getUriForMsg(message);
    const service = MailServices.messageServiceFromURI(uri);
    return new Promise((resolve, reject) => {
      const chunks = [];
      service.streamMessage(uri, {
        QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
        onStartRequest() {},
        onDataAvailable(request, stream, offset, count) {
          const s = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
          s.setInputStream(stream);
          chunks.push(s.readBytes(count));
        },
        onStopRequest(request, status) { Components.isSuccessCode(status) ? resolve(chunks.join("")) : reject(new Error("status " + status)); },
      }, null, null, false, "");
    });
  },

  // All folders with what Thunderbird believes is in them.
  picture() {
    const all = {};
    for (const f of tb.server.rootFolder.descendants) {
      all[f.name] = [...f.messages].map(m => m.mime2DecodedSubject + (m.isRead ? " read" : "") + (m.isFlagged ? " flagged" : "")).sort();
    }
    return all;
  },
};
