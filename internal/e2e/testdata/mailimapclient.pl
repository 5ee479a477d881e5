# Makes one account like another, with Perl's Mail::IMAPClient and in the way of imapsync, which is
# made with it: EXAMINE here, SELECT there, header fields and sizes of all messages, APPEND with
# flags and date of what is missing, the flags of the rest, UID EXPUNGE of what is too many. At the
# end both are read and compared, octet by octet, and it says what it has done.
# mailimapclient.pl HOST TLSPORT PORT CA FROM TO PASSWORD

use strict;
use warnings;
use Mail::IMAPClient 3.30;

my ( $host, $tlsport, $port, $ca, $from, $to, $password ) = @ARGV;
my @tls = ( SSL_ca_file => $ca, SSL_verify_mode => 1 );
my %of  = ( Server => $host, Password => $password, Uid => 1, Peek => 1, Timeout => 60 );
my $one = Mail::IMAPClient->new( %of, Port => $tlsport, User => $from, Ssl => \@tls )
  or die "TLS: $@";
my $two = Mail::IMAPClient->new( %of, Port => $port, User => $to, Starttls => \@tls )
  or die "STARTTLS: $@";
my %count = ( copied => 0, flagged => 0, deleted => 0 );

sub ok {
    my ( $imap, $what, $got ) = @_;
    defined $got or die "$what: " . ( $imap->LastError // 'nothing' ) . "\n";
    return $got;
}

# Flags as imapsync compares them: in order, and without \Recent.
sub flags { join ' ', sort grep { !/^\\Recent$/i } split ' ', shift }

# All messages of the mailbox that is open, by what tells them apart.
sub messages {
    my $imap = shift;
    my $uids = ok( $imap, 'SEARCH', scalar $imap->messages );
    return {} unless @$uids;
    my $headers = ok( $imap, 'headers', scalar $imap->parse_headers( [@$uids], 'Message-Id', 'Received' ) );
    my $facts = ok( $imap, 'FETCH', scalar $imap->fetch_hash( $uids, 'FLAGS', 'INTERNALDATE', 'RFC822.SIZE' ) );
    my %all;
    for my $uid (@$uids) {
        my $id = $headers->{$uid}{'Message-Id'}[0] or die "message $uid has no Message-Id\n";
        $all{$id} and die "$id is there twice\n";
        $all{$id} = { uid => $uid, %{ $facts->{$uid} } };
    }
    return \%all;
}

sub make {
    my $folder = shift;
    return if $two->exists($folder);
    ok( $two, "CREATE $folder", $two->create($folder) );
    ok( $two, "SUBSCRIBE $folder", $two->subscribe($folder) );
}

sub copy {
    my ( $folder, $id, $h ) = @_;
    my $text = ok( $one, "BODY of $id", $one->message_string( $h->{uid} ) );
    my $uid = ok( $two, 'APPEND', $two->append_string( $folder, $text, '(' . flags( $h->{FLAGS} ) . ')', $h->{INTERNALDATE} ) );
    $uid =~ /^\d+$/ or die "APPEND told no UID: $uid\n";
    $count{copied}++;
}

sub folder {
    my $folder = shift;
    make($folder);
    ok( $one, "EXAMINE $folder", $one->examine($folder) );
    my @said = @{ ok( $two, "SELECT $folder", scalar $two->select($folder) ) ? [ $two->Results ] : [] };
    grep { /PERMANENTFLAGS \(.*\\\*\)/ } @said or die "no PERMANENTFLAGS: @said\n";
    my ( $here, $there ) = ( messages($one), messages($two) );
    my @gone = map { $there->{$_}{uid} } grep { !$here->{$_} } keys %$there;
    if (@gone) {
        ok( $two, 'delete', scalar $two->delete_message(@gone) );
        ok( $two, 'UID EXPUNGE', scalar $two->uidexpunge( \@gone ) );
        $count{deleted} += @gone;
    }
    ok( $two, 'STATUS', $two->uidnext($folder) );
    for my $id ( sort { $here->{$a}{uid} <=> $here->{$b}{uid} } keys %$here ) {
        if ( !$there->{$id} ) {
            copy( $folder, $id, $here->{$id} );
        }
        elsif ( flags( $here->{$id}{FLAGS} ) ne flags( $there->{$id}{FLAGS} ) ) {
            ok( $two, 'STORE', scalar $two->store( $there->{$id}{uid}, 'FLAGS.SILENT (' . flags( $here->{$id}{FLAGS} ) . ')' ) );
            $count{flagged}++;
        }
    }
    ok( $one, 'NOOP', $one->noop );
    ok( $two, 'CLOSE', $two->close );
}

# Both accounts as a new look finds them.
sub compare {
    my $folder = shift;
    ok( $_, "EXAMINE $folder", $_->examine($folder) ) for $one, $two;
    my ( $here, $there ) = ( messages($one), messages($two) );
    "@{[ sort keys %$here ]}" eq "@{[ sort keys %$there ]}" or die "$folder: other messages\n";
    for my $id ( keys %$here ) {
        my ( $h, $t ) = ( $here->{$id}, $there->{$id} );
        flags( $h->{FLAGS} ) eq flags( $t->{FLAGS} ) or die "$id: flags $h->{FLAGS} and $t->{FLAGS}\n";
        $h->{$_} eq $t->{$_} or die "$id: $_ $h->{$_} and $t->{$_}\n" for 'INTERNALDATE', 'RFC822.SIZE';
        $one->message_string( $h->{uid} ) eq $two->message_string( $t->{uid} ) or die "$id: other octets\n";
    }
}

for my $imap ( $one, $two ) {
    my $ns = ok( $imap, 'NAMESPACE', scalar $imap->namespace );
    $ns->[0][0][0] eq '' && $ns->[0][0][1] eq '/' or die "namespace '$ns->[0][0][0]' '$ns->[0][0][1]'\n";
    ok( $imap, 'separator', $imap->separator ) eq '/' or die "separator\n";
    $imap->has_capability($_) or die "no $_\n" for 'UIDPLUS', 'IDLE', 'MOVE';
}
my @folders = @{ ok( $one, 'LIST', scalar $one->folders ) };
my %subscribed = map { $_ => 1 } @{ ok( $one, 'LSUB', scalar $one->subscribed ) };
$subscribed{INBOX} or die "INBOX is not subscribed to\n";
folder($_)  for @folders;
compare($_) for @folders;
$_->logout  for $one, $two;
print join( ' ', map { "$_ $count{$_}" } sort keys %count ), ' of ', scalar(@folders), " folders\n";
