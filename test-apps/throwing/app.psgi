# SPDX-License-Identifier: Apache-2.0
# A PSGI application that throws.
use strict;
use warnings;

sub price {
    my %prices = (a => '1');
    return $prices{ $_[0] } // die "no price of $_[0]";
}

sub {
    my ($env) = @_;
    my (undef, undef, $key) = split /\//, $env->{PATH_INFO};
    return [200, ['Content-Type' => 'text/plain'], [price($key)]];
};
