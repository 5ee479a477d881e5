# Mail::DKIM as another server: "verify" tells what it makes of a chain, "seal" adds a set to it.
#   peer.pl verify|seal MESSAGE RECORDS [KEY SELECTOR DOMAIN ID]
# RECORDS has a name, a tab and a TXT record on each line.
use strict;
use warnings;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::DNS;

package Text { sub new { bless { text => $_[1] } } sub type { 'TXT' } sub txtdata { $_[0]{text} } sub char_str_list { $_[0]{text} } }

my ( $action, $message, $records, $key, $selector, $domain, $srv ) = @ARGV;
sub slurp { open my $f, '<:raw', $_[0] or die "$_[0]: $!"; local $/; <$f> }
my %texts = map { split /\t/, $_, 2 } split /\n/, slurp($records);
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub { my $t = $texts{ $_[0] }; defined $t ? Text->new($t) : () };
}

sub verify {
    my $v = Mail::DKIM::ARC::Verifier->new;
    $v->PRINT( slurp($message) );
    $v->CLOSE;
    return $v;
}

my $v = verify();
if ( $action eq 'verify' ) {
    print $v->result, ' ', $v->result_detail, "\n";
}
else {
    my $s = Mail::DKIM::ARC::Signer->new(
        Algorithm => 'rsa-sha256', Chain => $v->result, Domain => $domain, SrvId => $srv,
        Selector  => $selector,    KeyFile => $key,     Headers => '',
    );
    $s->PRINT( slurp($message) );
    $s->CLOSE;
    print map { "$_\r\n" } $s->as_strings;
}
