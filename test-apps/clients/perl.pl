# SPDX-License-Identifier: Apache-2.0
# Perl's clients: perl.pl LIBRARY STEP... (steps as in python.py). LIBRARY: lwp (LWP, kept connections), tiny (HTTP::Tiny).
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use HTTP::Tiny;
use LWP::UserAgent;

my $library = shift @ARGV;
my $lwp = LWP::UserAgent->new(keep_alive => 4, env_proxy => 0);
my $tiny = HTTP::Tiny->new(keep_alive => 1, proxy => undef, http_proxy => undef);

sub through_lwp {
    my ($method, $url, $body, $timeout) = @_;
    $lwp->timeout($timeout);
    my $request = HTTP::Request->new($method, $url);
    $request->content($body) if defined $body;
    my $answer = $lwp->request($request);
    my $died = $answer->header('X-Died') // $answer->header('Client-Aborted') // '';
    return ($answer->code, $answer->header('Client-Warning') ? '' : $answer->content, $died);
}

sub through_tiny {
    my ($method, $url, $body, $timeout) = @_;
    $tiny->timeout($timeout);
    my $answer = $tiny->request($method, $url, defined $body ? { content => $body } : {});
    return ($answer->{status}, $answer->{status} == 599 ? '' : $answer->{content}, '');
}

$| = 1;
for my $step (@ARGV) {
    my ($verb, $size, $url) = $step =~ /^([a-z]+):?(\d*) (.*)$/;
    my $body = $size ? 'b' x $size : undef;
    my @arguments = ($verb eq 'timeout' ? 'GET' : uc $verb, $url, $body, $verb eq 'timeout' ? 3 : 20);
    my ($status, $data, $died) = $library eq 'lwp' ? through_lwp(@arguments) : through_tiny(@arguments);
    printf "%s %d %s %s\n", $status, length $data, substr(sha256_hex($data), 0, 16), $died ? 'died' : '';
}
