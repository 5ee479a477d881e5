# Signs messages with Mail::DKIM: sign.pl ALGORITHM HEADERFORM BODYFORM KEY MESSAGE...
# The signed message goes to MESSAGE.signed.
use strict;
use warnings;
use Mail::DKIM::Signer;

my ($algorithm, $header, $body, $key, @messages) = @ARGV;
for my $path (@messages) {
    open my $in, '<:raw', $path or die $!;
    my $message = do { local $/; <$in> };
    my $signer = Mail::DKIM::Signer->new(
        Algorithm => $algorithm, Method => "$header/$body", Domain => 'example.org',
        Selector => 's', KeyFile => $key);
    $signer->PRINT($message);
    $signer->CLOSE;
    open my $out, '>:raw', "$path.signed" or die $!;
    print $out $signer->signature->as_string, "\r\n", $message;
}
