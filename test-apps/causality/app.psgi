# SPDX-License-Identifier: Apache-2.0
# Asks the server behind it for the path it is asked for, over a connection that is kept.
use strict;
use warnings;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(keep_alive => 1);

sub {
    my $path = $_[0]->{PATH_INFO};
    my $answer = $agent->get("http://127.0.0.1:$ENV{BEHIND}$path");
    return [$answer->code, ['Content-Type' => 'text/plain'], [$answer->content]];
};
