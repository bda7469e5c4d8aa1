# SPDX-License-Identifier: Apache-2.0
# A Rails application that throws, for a reason. It logs as new applications do: with the request's id in front of each
# line, to standard output.

ENV['RAILS_ENV'] ||= 'production'
require 'action_controller/railtie'

class PriceError < StandardError; end

class Shop < Rails::Application
  config.eager_load = false
  config.secret_key_base = 'x' * 32
  config.log_tags = [:request_id]
  config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout, formatter: Logger::Formatter.new))
  routes.append { get '/price/:key', to: 'prices#show' }
end

class PricesController < ActionController::Base
  def show
    render plain: price(params[:key])
  end

  private

  def load_price(key)
    { 'a' => '1' }.fetch(key)
  end

  def price(key)
    load_price(key)
  rescue KeyError
    raise PriceError, "no price of #{key}"
  end
end

Shop.initialize!
run Shop
