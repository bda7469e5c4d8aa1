# SPDX-License-Identifier: Apache-2.0
# A Sinatra application that throws, for a reason.

require 'sinatra'

class PriceError < StandardError; end

helpers do
  def load_price(key)
    { 'a' => '1' }.fetch(key)
  end

  def price(key)
    load_price(key)
  rescue KeyError
    raise PriceError, "no price of #{key}"
  end
end

get('/price/:key') { price(params[:key]) }

run Sinatra::Application
