package web

// How each app is set up: its own words, in the order in which it asks.

func iphone() App {
	return App{
		Key: "iphone", Page: "iphone", Name: "Mail on iPhone and iPad", On: "iPhone, iPad", Phone: true, Profile: true,
		Steps: []Step{
			{Text: "Open Settings › Apps › Mail › Mail Accounts › Add Account. (Before iOS 18: Settings › Mail › Accounts › Add Account.)"},
			{Text: "Tap Other, then Add Mail Account, and fill in:", Fields: fields(
				Field{"Name", Account.FullName}, Field{"Email", Account.User}, Field{"Password", Account.Secret},
				Field{"Description", Account.User})},
			{Text: "Tap Next. At the top, choose:", Fields: fields(Field{"IMAP or POP", Account.Protocol})},
			{Text: "Under Incoming Mail Server:", Fields: fields(
				Field{"Host Name", Account.Server}, Field{"User Name", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Under Outgoing Mail Server. It says “Optional”, but all three are needed:", Fields: fields(
				Field{"Host Name", Account.Server}, Field{"User Name", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Next, then Save. The phone finds the ports by itself. If it does not, they are under Advanced, and under SMTP:", Fields: fields(
				Field{"Use SSL", Account.on}, Field{"Server Port (incoming)", Account.InPort}, Field{"Server Port (SMTP)", Account.OutPort})},
		},
	}
}

func gmail() App {
	return App{
		Key: "android-gmail", Page: "android-gmail", Name: "Gmail on Android", On: "Android phones and tablets", Phone: true,
		Steps: []Step{
			{Text: "Open Gmail. Tap your picture at the top right, then Add another account, then Other."},
			{Text: "Type your address and tap Manual setup:", Fields: fields(Field{"Enter your email", Account.User})},
			{Text: "Choose the type of account:", Fields: fields(Field{"Personal", Account.Protocol})},
			{Text: "Type the password and tap Next:", Fields: fields(Field{"Password", Account.Secret})},
			{Text: "Incoming server settings:", Fields: fields(
				Field{"Username", Account.User}, Field{"Password", Account.Secret}, Field{"Server", Account.Server},
				Field{"Port", Account.InPort}, Field{"Security type", Account.InSecurity})},
			{Text: "Outgoing server settings:", Fields: fields(
				Field{"Require sign-in", Account.on}, Field{"Username", Account.User}, Field{"Password", Account.Secret},
				Field{"SMTP server", Account.Server}, Field{"Port", Account.OutPort}, Field{"Security type", Account.OutSecurity})},
			{Text: "Tap Next until it says that your account is ready, and give your name:", Fields: fields(Field{"Your name", Account.FullName})},
		},
		Note: "Never choose “Accept all certificates”: anybody in between could then read your password.",
	}
}

func samsung() App {
	return App{
		Key: "samsung", Page: "samsung", Name: "Samsung Email", On: "Samsung phones and tablets", Phone: true,
		Steps: []Step{
			{Text: "Open Samsung Email. On the first start choose Other; later, Menu › Settings › Add account › Other."},
			{Text: "Fill in, and tap Manual setup:", Fields: fields(Field{"Email address", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Choose the type of account:", Fields: fields(Field{"Account type", Account.Protocol})},
			{Text: "Under Account and Incoming server:", Fields: fields(
				Field{"Email address", Account.User}, Field{"Username", Account.User}, Field{"Password", Account.Secret},
				Field{"Incoming server", Account.Server}, Field{"Security type", Account.InSecurity}, Field{"Port", Account.InPort})},
			{Text: "Under Outgoing server:", Fields: fields(
				Field{"SMTP server", Account.Server}, Field{"Security type", Account.OutSecurity}, Field{"Port", Account.OutPort},
				Field{"Authentication required before sending emails", Account.on}, Field{"Username", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Sign in."},
		},
		Note: "Some versions write SSL where others write SSL/TLS, and TLS where others write STARTTLS.",
	}
}

// cloud is what people should know before they use Outlook on phones or the new one.
const cloud = "This Outlook hands your password to Microsoft, whose servers then fetch your mail for it. Use a password made for this app alone, or another app, if you would rather not."

func outlookMobile() App {
	return App{
		Key: "outlook-mobile", Page: "outlook", Name: "Outlook on a phone", On: "iPhone, iPad, Android", Phone: true,
		Steps: []Step{
			{Text: "Open Outlook, and under Settings choose Add Mail Account."},
			{Text: "Type your address and tap Continue or Add Account:", Fields: fields(Field{"Email address", Account.User})},
			{Text: "If it asks for the kind of account, choose:", Fields: fields(Field{"Account type", Account.Protocol})},
			{Text: "Turn on Use Advanced Settings, and fill in:", Fields: fields(
				Field{"Email Address", Account.User}, Field{"Display Name", Account.FullName}, Field{"Description", Account.User})},
			{Text: "Under IMAP Incoming Mail Server:", Fields: fields(
				Field{"IMAP Host Name", Account.Server}, Field{"Port", Account.InPort}, Field{"Security Type", Account.InSecurity},
				Field{"IMAP Username", Account.User}, Field{"IMAP Password", Account.Secret})},
			{Text: "Under SMTP Outgoing Mail Server:", Fields: fields(
				Field{"SMTP Host Name", Account.Server}, Field{"Port", Account.OutPort}, Field{"Security Type", Account.OutSecurity},
				Field{"SMTP Username", Account.User}, Field{"SMTP Password", Account.Secret})},
			{Text: "Tap the tick or Sign In."},
		},
		Note: cloud,
	}
}

func outlookNew() App {
	return App{
		Key: "outlook-new", Page: "outlook", Name: "New Outlook", On: "Windows 11, Mac",
		Steps: []Step{
			{Text: "Open Settings › Accounts › Your accounts › Add account."},
			{Text: "Type your address and choose Continue:", Fields: fields(Field{"Suggested account", Account.User})},
			{Text: "If it asks for your provider, choose:", Fields: fields(Field{"Provider", Account.Protocol})},
			{Text: "Choose Show more, and fill in:", Fields: fields(
				Field{"IMAP Password", Account.Secret}, Field{"IMAP Incoming server", Account.Server}, Field{"Port", Account.InPort},
				Field{"Secure connection type", Account.InSecurity})},
			{Text: "Below it:", Fields: fields(
				Field{"SMTP Username", Account.User}, Field{"SMTP Password", Account.Secret}, Field{"SMTP Outgoing server", Account.Server},
				Field{"SMTP Port", Account.OutPort}, Field{"Secure connection type", Account.OutSecurity})},
			{Text: "Choose Continue."},
		},
		Note: cloud,
	}
}

func outlookClassic() App {
	return App{
		Key: "outlook-classic", Page: "outlook", Name: "Classic Outlook", On: "Windows",
		Finds: "Outlook finds the settings by itself: choose File › Add Account, type your address, choose Connect, and type your password.",
		Steps: []Step{
			{Text: "Choose File › Add Account, and type your address:", Fields: fields(Field{"Email address", Account.User})},
			{Text: "Open Advanced options, tick “Let me set up my account manually”, and choose Connect."},
			{Text: "Choose the type of account:", Fields: fields(Field{"Account type", Account.Protocol})},
			{Text: "Under Incoming mail:", Fields: fields(
				Field{"Server", Account.Server}, Field{"Port", Account.InPort}, Field{"Encryption method", Account.InSecurity},
				Field{"Require logon using Secure Password Authentication (SPA)", Account.off})},
			{Text: "Under Outgoing mail:", Fields: fields(
				Field{"Server", Account.Server}, Field{"Port", Account.OutPort}, Field{"Encryption method", Account.OutSecurity},
				Field{"Require logon using Secure Password Authentication (SPA)", Account.off})},
			{Text: "Choose Next, type the password, and choose Connect:", Fields: fields(Field{"Password", Account.Secret})},
		},
	}
}

func thunderbird() App {
	return App{
		Key: "thunderbird", Page: "thunderbird", Name: "Thunderbird", On: "Windows, Mac, Linux",
		Finds: "Thunderbird finds the settings by itself: open ≡ › New Account › Email, type your name and address, choose Continue, then type your password.",
		Steps: []Step{
			{Text: "Open ≡ › New Account › Email, and fill in:", Fields: fields(Field{"Full name", Account.FullName}, Field{"Email address", Account.User})},
			{Text: "Choose Configure manually or Edit configuration. Under Incoming server:", Fields: fields(
				Field{"Protocol", Account.Protocol}, Field{"Hostname", Account.Server}, Field{"Port", Account.InPort},
				Field{"Connection security", Account.InSecurity}, Field{"Authentication method", Account.normal}, Field{"Username", Account.User})},
			{Text: "Under Outgoing server:", Fields: fields(
				Field{"Hostname", Account.Server}, Field{"Port", Account.OutPort},
				Field{"Connection security", Account.OutSecurity}, Field{"Authentication method", Account.normal}, Field{"Username", Account.User})},
			{Text: "Choose Continue or Done, and type the password:", Fields: fields(Field{"Password", Account.Secret})},
		},
	}
}

func k9() App {
	return App{
		Key: "k9", Page: "k9", Name: "K-9 Mail, Thunderbird for Android", On: "Android phones and tablets", Phone: true,
		Finds: "The app finds the settings by itself: tap Add account, type your address, tap Next, then type your password.",
		Steps: []Step{
			{Text: "Tap Add account, or Settings › Add account, and type:", Fields: fields(Field{"Email address", Account.User})},
			{Text: "Tap Next, then Edit configuration. Under Incoming server:", Fields: fields(
				Field{"Protocol", Account.Protocol}, Field{"IMAP server", Account.Server}, Field{"Security", Account.InSecurity},
				Field{"Port", Account.InPort}, Field{"Authentication", Account.normal}, Field{"Username", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Next. Under Outgoing server:", Fields: fields(
				Field{"SMTP server", Account.Server}, Field{"Security", Account.OutSecurity}, Field{"Port", Account.OutPort},
				Field{"Authentication", Account.normal}, Field{"Username", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Next, and give your name:", Fields: fields(Field{"Your name", Account.FullName})},
		},
	}
}

func fairemail() App {
	return App{
		Key: "fairemail", Page: "fairemail", Name: "FairEmail", On: "Android phones and tablets", Phone: true,
		Finds: "FairEmail finds the settings by itself: under Quick setup choose Other provider, fill in your name, address and password, and tap Check.",
		Steps: []Step{
			{Text: "Open Settings › Manual setup and more options › Accounts, tap +, choose IMAP, and fill in:", Fields: fields(
				Field{"Host", Account.Server}, Field{"Encryption", Account.InSecurity}, Field{"Port number", Account.InPort},
				Field{"User name", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Check, then Save."},
			{Text: "Open Settings › Manual setup and more options › Identities, tap +, and fill in:", Fields: fields(
				Field{"Name", Account.FullName}, Field{"Email address", Account.User})},
			{Text: "Choose the account, open Advanced, and fill in:", Fields: fields(
				Field{"Host", Account.Server}, Field{"Encryption", Account.OutSecurity}, Field{"Port number", Account.OutPort},
				Field{"User name", Account.User}, Field{"Password", Account.Secret})},
			{Text: "Tap Check, then Save."},
		},
	}
}

func other() App {
	return App{
		Key: "other", Page: "other", Name: "Another app", On: "anything else that reads mail",
		Finds: "Many apps find the settings by your address alone. If yours asks, these are the answers.",
		Steps: []Step{
			{Text: "Incoming mail:", Fields: fields(
				Field{"Type", Account.Protocol}, Field{"Server", Account.Server}, Field{"Port", Account.InPort}, Field{"Security", Account.InSecurity},
				Field{"User name", Account.User}, Field{"Password", Account.Secret}, Field{"Authentication", Account.normal})},
			{Text: "Outgoing mail (SMTP):", Fields: fields(
				Field{"Server", Account.Server}, Field{"Port", Account.OutPort}, Field{"Security", Account.OutSecurity},
				Field{"User name", Account.User}, Field{"Password", Account.Secret}, Field{"Authentication", Account.normal})},
		},
	}
}
