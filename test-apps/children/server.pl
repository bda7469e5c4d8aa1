# SPDX-License-Identifier: Apache-2.0
# Starts curl for each request, as the path's first part says, and answers with what it printed: `perl server.pl PORT`
use strict;
use warnings;
use HTTP::Daemon;

sub started {
    my ($way, @argv) = @_;
    return `@argv` if $way eq 'backticks';
    if ($way eq 'open') {
        open(my $output, '-|', @argv) or die;
        local $/;
        return scalar <$output>;
    }
    if ($way eq 'system') {
        local $^F = 255; # the shell is to have it
        pipe(my $output, my $input) or die;
        system("@argv >&" . fileno($input)) == 0 or die;
        close($input);
        local $/;
        return scalar <$output>;
    }
    return 'ready';
}

my $daemon = HTTP::Daemon->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], ReuseAddr => 1) or die;
while (my $client = $daemon->accept) {
    if (my $request = $client->get_request) {
        my $path = $request->uri->path;
        $client->send_response(HTTP::Response->new(200, 'OK', [Connection => 'close'],
                                                   started((split('/', $path))[1] // '', 'curl', '-s', $ENV{BEHIND} . $path)));
    }
    $client->close;
}
