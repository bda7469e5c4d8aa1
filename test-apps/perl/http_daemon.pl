#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A server on HTTP::Daemon, a process for each connection, with the paths of httpd.c; on the port that is its argument; prints a line for each answer.
use strict;
use warnings;
use HTTP::Daemon;
use HTTP::Response;
use Time::HiRes qw(sleep);

# A body that comes from a function is sent in chunks.
sub chunked {
    my ($left) = @_;
    return HTTP::Response->new(200, 'OK', ['Content-Type' => 'text/plain'], sub {
        my $part = $left < 100_000 ? $left : 100_000;
        $left -= $part;
        return 'x' x $part;
    });
}

sub answer {
    my ($status, $body) = @_;
    return HTTP::Response->new($status, undef, ['Content-Type' => 'text/plain', 'Content-Length' => length $body], $body);
}

my %routes = (
    size    => sub { answer(200, 'x' x $_[0]) },
    chunked => \&chunked,
    delay   => sub { sleep $_[0] / 1000; answer(200, "late\n") },
    status  => sub { $_[0] == 204 || $_[0] == 304 ? HTTP::Response->new($_[0]) : answer($_[0], "status\n") },
);

sub respond {
    my ($request) = @_;
    my (undef, $what, $number) = split m{/}, $request->uri->path;
    return answer(200, length($request->content) . "\n") if $what eq 'echo';
    my $route = $routes{$what} or return answer(404, "no such path\n");
    return $route->($number);
}

sub serve {
    my ($client) = @_;
    while (my $request = $client->get_request) {
        $client->send_response(respond($request));
        syswrite STDOUT, $request->method . ' ' . $request->uri . "\n";
    }
}

my $daemon = HTTP::Daemon->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], ReuseAddr => 1, Listen => 128) or die "cannot listen: $!";
$SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
while (1) {
    my $client = $daemon->accept or next;
    my $child = fork // die "cannot fork: $!";
    next if $child;
    $daemon->close;
    serve($client);
    exit 0;
}
