# SPDX-License-Identifier: Apache-2.0
# A Rack application that throws, for a reason.

class PriceError < StandardError; end

def load_price(key)
  { 'a' => '1' }.fetch(key)
end

def price(key)
  load_price(key)
rescue KeyError
  raise PriceError, "no price of #{key}"
end

run ->(env) { [200, {}, [price(env['PATH_INFO'].split('/')[2])]] }
