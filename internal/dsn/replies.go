package dsn

// What several replies have in common. A sentence for the administrator begins a
// paragraph of its own.
const (
	noMailbox  = "There is no mailbox with this address. " + adviceAddress
	closed     = "This mailbox exists, but it has been closed or is no longer used. Please ask the recipient in another way (by phone, say) for an address that works."
	full       = "The mailbox of the recipient is full. They need to make room before they can get mail; perhaps you can tell them in another way."
	tooBig     = "The message is too big for the recipient's mail server. Attachments grow by a third on their way. " + adviceSmaller
	tooMuch    = "The recipient is getting more mail at the moment than their mail server allows. This usually passes within hours."
	busy       = "The recipient's mail server is too busy at the moment, or something in it is being repaired. This usually passes by itself."
	unfamiliar = "The recipient's mail server does not know our mail server yet, and takes a message only when it comes a second time (greylisting). This is common and usually passes within an hour."
	spam       = "The recipient's mail server takes the message for unwanted advertising or fraud, most likely because of its text, links or attachments. Perhaps it helps to write it anew in other words, and without links or attachments; otherwise please reach the recipient in another way."
	virus      = "The recipient's mail server believes that the message contains a virus or another dangerous program. Please check your computer, and send the files in another way if you are sure that they are harmless."
	badFile    = "The recipient's mail server does not take attachments of this type, since they may be dangerous. Please put the files where they can be fetched, and send a link to them."
	insiders   = "The recipient takes mail only from certain senders, and you are not among them. Please reach them in another way and ask them to allow your address."
	localRule  = "A rule that the recipient's organisation has made refuses the message. " + adviceAsk
	distrust   = "The recipient's mail server does not trust ours. This is not about you or your message; your administrator can do something about it."
	listed     = "Our mail server is on a list of mail servers that send unwanted mail, and the recipient's mail server takes nothing from those on the list. This is not about you or your message; your administrator can do something about it."
	listedURL  = "A domain in the message (in the sender's address or in a link) is on a list of those that unwanted mail comes from. If there are links in the message, please try it without them, and tell your administrator."
	slower     = "The recipient's mail server has got too much mail from ours in a short time and makes it wait. This usually passes within hours."
	forged     = "The owner of the sender's domain has published that mail which is not proved to be genuine is to be refused (DMARC), and the recipient's mail server found no such proof. " + adviceAdmin
	badHeader  = "The recipient's mail server found that the message is not put together as it should be, for example with two senders or without a date. Please send it with another mail program, or tell your administrator which one you use."
	noRelay    = "The mail server that takes the mail for this domain says that it does not. Most likely something is set up wrongly at the recipient's side. Please look for a typing error in the domain (the part behind the @), or tell the recipient in another way.\nFor the administrator: if it was a smarthost that said so, it wants a login, or to know this server's address."
	ownSender  = "The mail server that sends our mail on does not let us use your address as the sender. " + adviceAdmin
	noLogin    = "The next mail server wanted a login from ours, or did not accept it. " + adviceAdmin
	noSender   = "The recipient's mail server could not make sure that your own address exists, and so it refused the message. " + adviceAdmin
	badName    = "The recipient's mail server does not like the name by which ours introduces itself. " + adviceAdmin
	wantsTLS   = "The recipient's mail server takes mail only over an encrypted connection, and there was none. " + adviceAdmin
	theirFault = "Something is set up wrongly at the recipient's mail server; it is not about you or your message. " + adviceAsk

	adminSPF    = "\nFor the administrator: the SPF record of the sender's domain has to name this server."
	adminDKIM   = "\nFor the administrator: messages have to be signed with DKIM by the sender's domain, and its public key has to be in the DNS."
	adminAuth   = "\nFor the administrator: the sender's domain needs an SPF record that names this server, DKIM signatures with the public key in the DNS, and a DMARC record. SPF or DKIM has to be for the very domain in From."
	adminPTR    = "\nFor the administrator: the server's IP address needs a PTR record, and the name in it has to lead back to that address. Whoever gave you the address can set it."
	adminDelist = "\nFor the administrator: look whether something here has sent unwanted mail, put an end to it, and then ask for removal where the reply below points to."
	adminGoogle = "\nFor the administrator: see Google's guidelines for email senders and Postmaster Tools (postmaster.google.com)."
	adminSNDS   = "\nFor the administrator: look the IP address up in Microsoft's SNDS (sendersupport.olc.protection.outlook.com), and ask for removal there or at sender.office.com."
	adminRate   = "\nFor the administrator: send less at a time to this provider, and look whether somebody's password has been stolen and misused."
	adminLogin  = "\nFor the administrator: check user name, password and allowed sender addresses of the smarthost."
)

// Hosts of large providers, as their MX records have them.
const (
	french    = "orange.fr wanadoo.fr sfr.fr laposte.net free.fr"
	google    = "gmail.com google.com googlemail.com"
	microsoft = "outlook.com hotmail.com office365.com mx.microsoft"
	yahoo     = "yahoodns.net yahoo.com aol.com"
	apple     = "icloud.com apple.com"
	united    = "gmx.net gmx.com gmx.de web.de mail.com kundenserver.de 1and1.com ionos.com ionos.de"
)

// replies is what is known of other servers' replies: those of large providers, then of
// mail filters and block lists, then of server programs. All words are our own.
var replies = []reply{
	// Google's help for Workspace administrators, "SMTP errors and codes", and its guidelines for senders.
	{google, "", "x.1.1", "", noMailbox},
	{google, "", "x.2.1", "too quickly|at a rate", tooMuch},    // same page
	{google, "5", "5.2.1", "", closed},                         // same page: disabled or inactive accounts
	{google, "", "x.2.2", "", full},                            // same page
	{google, "", "x.7.26", "dmarc policy", forged + adminAuth}, // same page
	{google, "", "x.7.26", "", "Gmail takes mail only if it can be proved to be genuine (by SPF or DKIM), and found no proof for your domain. " + adviceAdmin + adminAuth},                                                               // guidelines for senders
	{google, "", "x.7.27 x.7.24", "", notNamed + " " + adviceAdmin + adminSPF},                                                                                                                                                           // guidelines for senders
	{google, "", "x.7.30", "", notSigned + " " + adviceAdmin + adminDKIM},                                                                                                                                                                // guidelines for senders
	{google, "", "x.7.31 x.7.32 x.7.40", "", "Gmail wants to be told what to do with mail that only pretends to come from your domain (DMARC), and found nothing, or nothing that fits the address in From. " + adviceAdmin + adminAuth}, // guidelines for senders
	{google, "", "x.7.25", "", noPTR + " " + adviceAdmin + adminPTR},                                                                                                                                                                     // guidelines for senders
	{google, "", "", "sending guidelines regarding ptr|ptr record", noPTR + " " + adviceAdmin + adminPTR},                                                                                                                                // older wording of the same page
	{google, "", "x.7.29", "", wantsTLS},                                                   // guidelines for senders
	{google, "", "", "tls required for rcpt domain", wantsTLS},                             // SMTP errors and codes
	{google, "", "x.7.28", "", slower + adminRate + adminGoogle},                           // same page
	{google, "", "", "unusual rate of unsolicited mail", slower + adminRate + adminGoogle}, // older wording of the same page
	{google, "", "", "low reputation of the sending", "Gmail does not trust our mail server or your domain, from which it has seen too little good mail or too much unwanted mail. This is not about your message alone; your administrator can do something about it." + adminGoogle}, // help page on blocked mail
	{google, "", "", "likely unsolicited|likely suspicious|message is suspicious", spam + adminGoogle},            // same page
	{google, "", "x.7.0", "security issue|blocked because its content", badFile},                                  // Gmail help on blocked file types
	{google, "", "x.3.4 x.2.3", "", tooBig},                                                                       // SMTP errors and codes
	{google, "", "", "rfc 5322|multiple addresses in from|missing a valid message-id", badHeader},                 // same page
	{google, "", "", "gcdp|not in whitelist for rcpt domain", localRule},                                          // same page: rules of a customer
	{google, "", "", "mail relay denied|relay not permitted|invalid credentials for relay", noLogin + adminLogin}, // Workspace help on the SMTP relay service
	{google, "4", "4.3.0 4.4.5 4.7.0", "try again later|server busy", busy},                                       // SMTP errors and codes

	// Microsoft's support pages for Exchange Online, "non-delivery reports and SMTP errors", and Outlook.com's postmaster pages.
	{microsoft, "", "x.1.10", "", noMailbox},
	{microsoft, "", "", "resolver.adr.recipientnotfound|resolver.adr.recipnotfound", noMailbox}, // same list
	{microsoft, "5", "5.4.1", "recipient address rejected", "The recipient's mail server refused the address. Most often this means that there is no mailbox with this address. " + adviceAddress}, // support page on 5.4.1
	{microsoft, "550", "", "mailbox unavailable", noMailbox},                                   // Outlook.com's error list: 550 5.5.0
	{microsoft, "", "", "s3140|s3150|on our block list", listed + adminSNDS},                   // Outlook.com's postmaster pages
	{microsoft, "", "5.7.511 5.7.606 5.7.607 5.7.608 5.7.609 5.7.610", "", listed + adminSNDS}, // support page on 5.7.511 and 5.7.606 to 649
	{microsoft, "5", "", "banned send", listed + adminSNDS},                                    // same page, numbers between
	{microsoft, "4", "4.7.650 4.7.651 4.7.652", "", slower + adminRate + adminSNDS},            // Outlook.com's postmaster pages: IP reputation
	{microsoft, "", "5.7.515", "", "Outlook takes mail only if it can be proved to be genuine (by SPF, DKIM and DMARC together), and the proof for your domain is not complete. " + adviceAdmin + adminAuth}, // support page on 5.7.515
	{microsoft, "", "5.7.509", "", forged + adminAuth},                      // list of NDR codes
	{microsoft, "5", "", "dmarc", forged + adminAuth},                       // same list, older wording
	{microsoft, "5", "5.7.23", "", notNamed + " " + adviceAdmin + adminSPF}, // support page on 5.7.23
	{microsoft, "", "5.1.8 5.7.501 5.7.502 5.7.503 5.7.504 5.7.505 5.7.703 5.7.705 5.7.708 5.7.750", "", "Microsoft does not let mail of this sender out or in, because it suspects that the account or the domain is misused for unwanted mail. " + adviceAdmin + "\nFor the administrator: look for misused accounts, change their passwords, and ask Microsoft's support to lift the block."}, // list of NDR codes: 5.1.8, 5.7.501 to 505, 5.7.7xx
	{microsoft, "", "5.7.57 5.7.60", "", noLogin + adminLogin},                                                              // list of NDR codes: SMTP client submission
	{microsoft, "", "", "sendasdenied|not allowed to send as", ownSender + adminLogin},                                      // support page on SMTP submission
	{microsoft, "", "5.7.64", "", noRelay + " A connector of Microsoft 365 has to name it, or its certificate."},            // support page on 5.7.64
	{microsoft, "", "5.7.12 5.7.13 5.7.124 5.7.129 5.7.133 5.7.134 5.7.135 5.7.136", "", insiders},                          // list of NDR codes: restricted recipients and groups
	{microsoft, "", "", "resolver.rst.notauthorized|resolver.rst.sendernotauthenticated|resolver.rst.restricted", insiders}, // same list, texts
	{microsoft, "", "", "transport.rules.rejectmessage|organization policy", localRule},                                     // support page on 5.7.1 and mail flow rules
	{microsoft, "", "x.2.2", "", full},                             // support page on 5.2.2
	{microsoft, "", "", "quotaexceeded|mailbox*quota", full},       // same page, older wording
	{microsoft, "", "x.2.3 x.3.4", "", tooBig},                     // list of NDR codes
	{microsoft, "4", "", "thread limit exceeded|throttl", tooMuch}, // list of NDR codes: 432 4.3.2
	{microsoft, "4", "4.7.25 4.7.26", "", "Microsoft takes mail over IPv6 only from servers with a name in the DNS and with proof that the mail is genuine, and ours lacks one of them. This is not about you or your message; your administrator can do something about it." + adminPTR + adminAuth}, // support page on anonymous mail over IPv6
	{microsoft, "5", "", "(sc-0|(rp-0|(dy-0|(ou-0", distrust + adminSNDS}, // Outlook.com's error list
	{microsoft, "4", "", "server busy", busy},                             // list of NDR codes: 4.7.500 to 699

	// Yahoo's Sender Hub (also for AOL), "SMTP error codes".
	{yahoo, "4", "", "[ts|user complaints|unexpected volume", slower + "\nFor the administrator: Yahoo has seen complaints or unusual amounts of mail from this server; see senders.yahooinc.com."},
	{yahoo, "5", "", "[ts", distrust + "\nFor the administrator: Yahoo refuses this server for good because of complaints; see senders.yahooinc.com."}, // same page: permanently deferred
	{yahoo, "", "", "[bl", listed + adminDelist},                                             // same page: lists of Spamhaus
	{yahoo, "", "5.7.9", "", notProved + " " + adviceAdmin + adminAuth},                      // same page: authentication failed
	{yahoo, "", "", "[auth|dmarc", notProved + " " + adviceAdmin + adminAuth},                // Sender Hub, best practices
	{yahoo, "5", "", "this user doesn't have a|mailbox not found|no such user", noMailbox},   // same page
	{yahoo, "5", "", "disabled or discontinued|account*disabled|not accepting mail", closed}, // same page
	{yahoo, "5", "", "[ph01]|[cn|not allowed - [", spam},                                     // same page: content with bad links
	{yahoo, "4", "", "[gl01]|resources temporarily unavailable|[#4.16", busy},                // same page

	// Apple's support page for postmasters of iCloud Mail.
	{apple, "5", "", "inactive email address", closed},
	{apple, "", "", "[cs0|[hm0|[cr0|local policy", spam + "\nFor the administrator: see Apple's support page for postmasters of iCloud Mail; they can be asked for help there."}, // same page
	{apple, "4", "", "excessive volume", tooMuch}, // same page

	// Postmaster pages of GMX, WEB.DE, mail.com and IONOS, "error messages".
	{united, "", "", "spf policy", notNamed + " " + adviceAdmin + adminSPF},
	{united, "", "", "block listed|blacklisted|blocklisted", listed + adminDelist},            // same page
	{united, "", "", "ptr resource record|reverse dns", noPTR + " " + adviceAdmin + adminPTR}, // same page
	{united, "5", "", "mailbox unavailable", noMailbox},                                       // same page
	{united, "", "", "exceeded storage allocation", full},                                     // same page
	{united, "4", "", "rate limit|too many", slower + adminRate},                              // same page
	{united, "", "", "policy restriction|policy violation", distrust + "\nFor the administrator: the last line of the reply has a link to the reason, such as a wrong HELO name or unwanted mail, and to a contact form."}, // same page
	{united, "", "", "dynamic ip", "The recipient's mail server takes no mail from internet addresses of homes, and holds ours for one. " + adviceAdmin + adminPTR},                                                        // same page

	// Deutsche Telekom's postmaster page for t-online.de.
	{"t-online.de", "5", "", "a problem occurred|bad reputation|(bl)|(nowl)", "T-Online takes mail only from mail servers that it knows, and it does not know ours, or does not trust it. This is not about you or your message; your administrator can do something about it.\nFor the administrator: write to the address that the reply below names. T-Online wants a server name under your own domain, and a web site there that says who you are."},
	{"t-online.de", "4", "", "", busy}, // same page: limits of new servers

	// Comcast's (Xfinity's) support page, "email error codes".
	{"comcast.net", "", "", "rl0", slower + adminRate},
	{"comcast.net", "", "", "bl0", listed + adminDelist}, // same page
	{"comcast.net", "", "", "es0|pl0", "Comcast takes no mail from internet addresses of homes, or not from a server that is set up like ours. " + adviceAdmin + adminPTR}, // same page
	{"comcast.net", "", "", "dm0", forged + adminAuth},                            // same page
	{"comcast.net", "5", "", "not our customer|account not available", noMailbox}, // same page

	// Postmaster pages of further providers.
	{french, "5", "", "invalid recipient|destinataire*invalide", noMailbox},                                                                  // Orange's sender page
	{french, "4", "", "service refuse|too many|trop de", slower + adminRate},                                                                 // Orange's, SFR's and La Poste's sender pages
	{french, "5", "", "mail rejete|mail rejected|spam", spam},                                                                                // the same
	{french, "5", "", "service refuse", distrust + adminDelist},                                                                              // the same
	{"yandex.ru yandex.net mail.ru", "5", "", "suspicion of spam|spam message|notspam", spam},                                                // Yandex's and Mail.ru's postmaster pages
	{"mail.ru", "5", "", "recipient verification failed|no such message recipient", noMailbox},                                               // Mail.ru's postmaster page
	{"qq.com 163.com 126.com netease.com", "5", "", "dt:spm|mi:sp|content denied|suspected spam", spam},                                      // Tencent's and NetEase's help pages on returned mail
	{"qq.com 163.com 126.com netease.com", "", "", "dt:sum|mi:stc|mi:dmc|mi:cel|frequency limited|connection frequency", slower + adminRate}, // the same

	// Help pages of mail filters: Mimecast, Proofpoint, Barracuda, Broadcom, Cisco.
	{"mimecast.com", "4", "", "internal resource", unfamiliar}, // Mimecast's "SMTP error codes"
	{"mimecast.com", "5", "", "anti-spoofing|header blocked|envelope blocked", localRule + "\nFor the administrator: Mimecast's customer has to permit mail from this server for the sender's domain."}, // same page
	{"mimecast.com", "5", "", "invalid recipient|known address verification", noMailbox},                                                                                                                // same page
	{"", "5", "", "ipcheck.proofpoint.com", listed + "\nFor the administrator: look the IP address up at ipcheck.proofpoint.com and ask for removal there."},                                            // Proofpoint's help page
	{"", "", "", "csi.cloudmark.com|cloudmark sender intelligence", listed + adminDelist},                                                                                                               // Cloudmark's sender page
	{"", "5", "", "sending mta's poor reputation|senderbase|talosintelligence", listed + "\nFor the administrator: look the IP address up at talosintelligence.com and ask for a review there."},        // Cisco's help page on sender reputation
	{"messagelabs.com", "5", "", "[7.|rejected by policy|rejected due to", distrust + adminDelist},                                                                                                      // Broadcom's list of Email Security errors
	{"", "", "", "barracudacentral|barracuda reputation", listed + "\nFor the administrator: ask for removal at barracudacentral.org."},                                                                 // Barracuda's removal page

	// RFC 3463 sections 3.2 and 3.3, whatever the text.
	{"", "5", "5.1.1", "", noMailbox},
	{"", "", "x.2.2", "", full},

	// Domino's wording, which has that of block lists in it.
	{"", "5", "", "not listed in*directory|not listed in*address book", noMailbox},

	// Sites of block lists, and what they advise servers to answer.
	{"", "", "", "open resolver*spamhaus|spamhaus*open resolver|returnc/", theirFault + "\nFor their administrator: the block list refuses to answer a public DNS resolver; use one of your own."}, // Spamhaus's page on error return codes
	{"", "", "", "spamhaus*dbl|dbl.spamhaus|surbl|uribl", listedURL + adminDelist},                                                                                                                 // Spamhaus's, SURBL's and URIBL's pages
	{"", "", "", "pbl.spamhaus|spamhaus*pbl|policy block list", "Our mail server has an internet address that is listed as one from which no mail should come directly, such as those of homes. " + adviceAdmin + "\nFor the administrator: ask for removal at check.spamhaus.org if this address is meant to send mail, or send through a smarthost."}, // Spamhaus's page on the PBL
	{"", "", "", "spamhaus|abuseat.org|zen.dnsbl", listed + "\nFor the administrator: look the IP address up at check.spamhaus.org, which says why it is listed and how it is removed."},                                                                                                                                                                // Spamhaus's pages on SBL, XBL and CSS
	{"", "", "", "spamcop", listed + "\nFor the administrator: SpamCop forgets by itself within a day once the unwanted mail has ended; see spamcop.net/bl.shtml."},                                                                                                                                                                                     // SpamCop's page
	{"", "", "", "uceprotect", listed + "\nFor the administrator: UCEPROTECT lists whole networks too; such a listing ends by itself in a week. Look the IP address up at uceprotect.net."},                                                                                                                                                             // UCEPROTECT's page
	{"", "5", "", "blocked using|dnsbl|rbl|blacklist|black list|blocklist|block list|listed in|listed at|poor reputation|bad reputation", listed + adminDelist},                                                                                                                                                                                         // wording that most servers have in common
	{"", "4", "", "blocked using|dnsbl|rbl.|blacklist|blocklist|listed in|poor reputation|bad reputation", listed + adminDelist},                                                                                                                                                                                                                        // the same, temporary

	// Wording of server programs, from their documentation and sources: Postfix, Exim, Sendmail, qmail, Exchange, Dovecot, rspamd, amavis, milters.
	{"", "", "", "sending limit|sending quota|daily limit|daily quota|hourly limit|outgoing limit", "The mail server that sends our mail on lets us send only so many messages in a day or an hour, and that number has been reached. Please try again tomorrow, or tell your administrator." + adminRate}, // Google's and Microsoft's pages on sending limits, hosting providers
	{"", "", "", "greylist|graylist|grey-list|grey list|gray list", unfamiliar},                                                                    // Postgrey, rspamd, milter-greylist, Exim
	{"", "4", "", "try again*minute|first time*sender", unfamiliar},                                                                                // greylisting without the word
	{"", "", "", "dmarc", forged + adminAuth},                                                                                                      // OpenDMARC, rspamd, many providers
	{"", "5", "", "spf", notNamed + " " + adviceAdmin + adminSPF},                                                                                  // Postfix with a policy service, rspamd, Exim
	{"", "5", "", "dkim", notSigned + " " + adviceAdmin + adminDKIM},                                                                               // OpenDKIM, rspamd
	{"", "", "", "sender is unauthenticated|unauthenticated sender|authenticate with", notProved + " " + adviceAdmin + adminAuth},                  // providers that took over Google's wording
	{"", "", "", "reverse hostname|reverse dns|rdns|ptr record|no ptr|ptr lookup|cannot find your hostname", noPTR + " " + adviceAdmin + adminPTR}, // Postfix's reject_unknown_client_hostname and its like
	{"", "", "", "helo command rejected|ehlo command rejected|helo name|invalid helo|fully-qualified hostname", badName + "\nFor the administrator: the server's host name has to be a full name that leads to its IP address."},                                                                           // Postfix's HELO restrictions, Exim
	{"", "", "", "mailbox is full|mailbox full|over quota|overquota|quota exceeded|exceeded*quota|quota limit|over storage quota|exceeded storage|out of storage|not enough space in mailbox|mailbox size limit", full},                                                                                    // Dovecot LMTP, Cyrus, Courier
	{"", "", "", "size*exceeds|exceeds*size|message too large|message too big|too large|maximum message size|size limit", tooBig},                                                                                                                                                                          // Postfix, Exim, Sendmail, Exchange
	{"", "", "", "account*disabled|mailbox*disabled|account*suspended|account*inactive|mailbox*inactive|user*inactive|account*closed|no longer active|has been deactivated|account is locked|user*disabled|user*suspended", closed},                                                                        // wording of hosting control panels and directories
	{"", "5", "", "sender verify|verify sender|sender verification|sender address rejected: unverified|sender*callout", noSender + "\nFor the administrator: the other server looks up the sender's address here; the sender's domain needs an MX record that leads to a server which knows the address."}, // Exim's and Postfix's sender verification
	{"", "", "", "sender address rejected: domain not found|sender domain*not|domain of sender", "The recipient's mail server could not find the domain of your own address in the DNS. " + adviceAdmin},                                                                                                   // Postfix's reject_unknown_sender_domain, Sendmail
	{"", "5", "", "not owned by user|not logged in|not allowed to send as|not authorized to send as|use of that sender", ownSender + adminLogin},                                                                                                                                                           // Postfix's reject_sender_login_mismatch, submission services
	{"", "5", "", "must issue a starttls|starttls first|starttls*required|tls*required|require*tls|encryption required", wantsTLS},                                                                                                                                                                         // Postfix's smtpd_tls_security_level and its like
	{"", "", "", "authentication failed|authentication unsuccessful|authentication credentials|username and password not accepted|bad username or password|authentication required|login required", noLogin + adminLogin},                                                                                  // submission services
	{"", "", "", "relaying denied|relay access denied|unable to relay|relay not permitted|relaying not permitted|not permitted to relay|we do not relay|relaying not allowed|allowed rcpthosts|relay denied|not one of our domains", noRelay},                                                              // Postfix, Sendmail, Exchange, Exim, qmail
	{"", "5", "", "virus|malware|infected|trojan", virus}, // ClamAV's milter, amavis, rspamd
	{"", "5", "", "attachment*not allowed|attachment type|file type|file extension|banned file|executable|dangerous attachment|prohibited attachment", badFile}, // amavis, MailScanner, Barracuda
	{"", "5", "", "spam|junk mail|junkmail|unsolicited|phishing|message content rejected|content rejected|bayes", spam},                                         // SpamAssassin, rspamd, amavis
	{"", "5", "", "user unknown|unknown user|unknown recipient|no such user|no such mailbox|no such recipient|no such address|no mailbox here|does not exist|doesn't exist|invalid recipient|invalid mailbox|recipient not found|user not found|mailbox not found|not a valid mailbox|unknown local|unknown address|address unknown|recipient unknown|unrouteable address|unroutable address|no such person|mailbox unavailable|invalid address|address not found|not our customer|unknown or illegal alias", noMailbox}, // Postfix, Exim, Sendmail, qmail, Courier, Domino
	{"", "", "", "too many recipients", "The message goes to more recipients at once than the recipient's mail server allows. Please send it to fewer at a time."},                                                                                                                                                                                // RFC 5321 section 4.5.3.1.10
	{"", "", "", "too many hops|hop count|mail loop|mail for*loops back|routing loop|too many received", "The message went round in a circle between mail servers, most likely because mail for this address is forwarded wrongly. Please tell the recipient in another way; if the address is one of your own, please tell your administrator."}, // Postfix, Exim, Exchange
	{"", "5", "", "bare lf|bare newline|bare linefeed|multiple from|missing*date header|missing from|header*invalid|not rfc 5322|rfc 2822|rfc5322|rfc2822|duplicate header", badHeader},                                                                                                                                                           // Postfix, rspamd, several providers
	{"", "5", "", "restricted to|not authorized to send|only accepts mail from|members only|only members|not permitted to send|sender*not authorized|not on*whitelist|not in*whitelist", insiders},                                                                                                                                                // Exchange, list managers
	{"", "4", "", "too many connections|too many sessions|too many concurrent|rate limit|rate-limit|ratelimit|throttl|too many messages|too much mail|exceeded*limit|sending too", slower + adminRate},                                                                                                                                            // Postfix's anvil, rspamd, several providers
	{"", "4", "", "insufficient system|insufficient disk|no space|server busy|system busy|too busy|overload|system load|high load|queue file write|server configuration|temporary*problem|temporarily unavailable|lookup failure|local error|internal error|shutting down|maintenance", busy},                                                     // Postfix, Sendmail, Exim
}
