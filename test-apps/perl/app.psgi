# SPDX-License-Identifier: Apache-2.0
# A PSGI application with the paths of httpd.c.
use strict;
use warnings;
use Plack::Builder;
use Time::HiRes qw(sleep);

# A body without a counted length: the server sends it in chunks.
sub chunked {
    my ($count) = @_;
    return sub {
        my $writer = shift->([200, ['Content-Type' => 'text/plain']]);
        for (my $left = $count; $left > 0; $left -= 100_000) {
            $writer->write('x' x ($left < 100_000 ? $left : 100_000));
        }
        $writer->close;
    };
}

sub answer {
    my ($status, $body) = @_;
    return [$status, ['Content-Type' => 'text/plain', 'Content-Length' => length $body], [$body]];
}

my %routes = (
    size    => sub { answer(200, 'x' x $_[0]) },
    chunked => \&chunked,
    delay   => sub { sleep $_[0] / 1000; answer(200, "late\n") },
    status  => sub { $_[0] == 204 || $_[0] == 304 ? [$_[0], [], []] : answer($_[0], "status\n") },
);

my $app = sub {
    my ($env) = @_;
    my (undef, $what, $number) = split m{/}, $env->{PATH_INFO};
    return answer(200, "$env->{CONTENT_LENGTH}\n") if $what eq 'echo';
    my $route = $routes{$what} or return answer(404, "no such path\n");
    return $route->($number);
};

builder {
    enable 'Head'; # no body in an answer to HEAD
    $app;
};
