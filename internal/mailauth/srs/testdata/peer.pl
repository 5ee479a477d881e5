# Mail::SRS: reads "forward ADDRESS DOMAIN" and "reverse ADDRESS" lines, writes one line each.
use strict;
use warnings;
use Mail::SRS;

my $srs = Mail::SRS->new( Secret => $ARGV[0], HashLength => $ARGV[1], HashMin => $ARGV[1], MaxAge => 21 );
$| = 1;
while ( my $line = <STDIN> ) {
    chomp $line;
    my ( $verb, $address, $domain ) = split / /, $line;
    my $answer = eval { $verb eq 'forward' ? $srs->forward( $address, $domain ) : $srs->reverse($address) };
    print defined $answer ? $answer : "refused", "\n";
}
