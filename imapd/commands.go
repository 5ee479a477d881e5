package imapd

// state says where a session is (RFC 9051 section 3), and in the table of commands, as
// a set, where a command is legal.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected

	anyState = notAuthenticated | authenticated | selected
	loggedIn = authenticated | selected
)

// tell says what a session may tell its client of the mailbox before the tagged reply.
type tell uint8

const (
	tellNothing tell = iota
	tellFlags        // all but EXPUNGE: the command has sequence numbers (RFC 9051 section 7.5.1)
	tellAll
)

// spec is one command: where it is legal, what may be told after it, and who runs it.
type spec struct {
	in   state
	tell tell
	run  func(*session, *command) error
}

// lookup finds a command by its name in capitals; a UID command's name has "UID " in front.
func lookup(name string) (spec, bool) {
	sp, ok := commands[name]
	return sp, ok
}

var commands = map[string]spec{
	// RFC 9051 section 6.1; ID is RFC 2971
	"CAPABILITY": {anyState, tellAll, (*session).capability},
	"NOOP":       {anyState, tellAll, (*session).noop},
	"LOGOUT":     {anyState, tellNothing, (*session).logout},
	"ID":         {anyState, tellAll, (*session).id},

	// RFC 9051 section 6.2
	"STARTTLS":     {notAuthenticated, tellNothing, (*session).startTLS},
	"AUTHENTICATE": {notAuthenticated, tellNothing, (*session).authenticate},
	"LOGIN":        {notAuthenticated, tellNothing, (*session).login},

	// RFC 4978
	"COMPRESS": {loggedIn, tellNothing, (*session).compress},

	// RFC 9051 section 6.3; LSUB is RFC 3501 section 6.3.9
	"ENABLE":      {loggedIn, tellAll, (*session).enable},
	"SELECT":      {loggedIn, tellNothing, (*session).selectMailbox},
	"EXAMINE":     {loggedIn, tellNothing, (*session).examine},
	"CREATE":      {loggedIn, tellAll, (*session).create},
	"DELETE":      {loggedIn, tellAll, (*session).deleteMailbox},
	"RENAME":      {loggedIn, tellAll, (*session).rename},
	"SUBSCRIBE":   {loggedIn, tellAll, (*session).subscribe},
	"UNSUBSCRIBE": {loggedIn, tellAll, (*session).unsubscribe},
	"LIST":        {loggedIn, tellAll, (*session).list},
	"LSUB":        {loggedIn, tellAll, (*session).lsub},
	"NAMESPACE":   {loggedIn, tellAll, (*session).namespace},
	"STATUS":      {loggedIn, tellAll, (*session).status},
	"APPEND":      {loggedIn, tellAll, (*session).append},
	"IDLE":        {loggedIn, tellAll, (*session).idle},

	// RFC 9208 section 4.1
	"GETQUOTA":     {loggedIn, tellAll, (*session).getQuota},
	"GETQUOTAROOT": {loggedIn, tellAll, (*session).getQuotaRoot},
	"SETQUOTA":     {loggedIn, tellAll, (*session).setQuota},

	// RFC 9051 section 6.4; CHECK is RFC 3501 section 6.4.1
	"CHECK":       {selected, tellAll, (*session).noop},
	"CLOSE":       {selected, tellNothing, (*session).closeMailbox},
	"UNSELECT":    {selected, tellNothing, (*session).unselect},
	"EXPUNGE":     {selected, tellAll, (*session).expunge},
	"SEARCH":      {selected, tellFlags, (*session).search},
	"FETCH":       {selected, tellFlags, (*session).fetch},
	"STORE":       {selected, tellFlags, (*session).store},
	"COPY":        {selected, tellAll, (*session).copy},
	"MOVE":        {selected, tellAll, (*session).move},
	"UID EXPUNGE": {selected, tellAll, (*session).expunge},
	"UID SEARCH":  {selected, tellAll, (*session).search},
	"SORT":        {selected, tellFlags, (*session).sort}, // RFC 5256
	"UID SORT":    {selected, tellAll, (*session).sort},
	"THREAD":      {selected, tellFlags, (*session).thread},
	"UID THREAD":  {selected, tellAll, (*session).thread},
	"UID FETCH":   {selected, tellAll, (*session).fetch},
	"UID STORE":   {selected, tellAll, (*session).store},
	"UID COPY":    {selected, tellAll, (*session).copy},
	"UID MOVE":    {selected, tellAll, (*session).move},
}
