<?php
// Roundcube reaches kurir by its name in the containers' network, and its certificate has to
// be the one of the name that the world knows. A certificate of kurir's own CA is trusted
// if that CA's tls/ca.pem is put beside this file.
$name = getenv('KURIR_HOSTNAME') ?: 'mail.' . getenv('DOMAIN');
$tls = ['ssl' => ['peer_name' => $name, 'verify_peer' => true, 'verify_peer_name' => true]];
if (is_file(__DIR__ . '/ca.pem')) {
    $tls['ssl']['cafile'] = __DIR__ . '/ca.pem';
}
$config['imap_conn_options'] = $tls;
$config['smtp_conn_options'] = $tls;
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
