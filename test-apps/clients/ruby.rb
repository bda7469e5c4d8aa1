# SPDX-License-Identifier: Apache-2.0
# Ruby's Net::HTTP: ruby.rb LIBRARY STEP... (steps as in python.py). LIBRARY: once (a connection for each request), kept (one
# for each server).
require 'digest'
require 'net/http'

$stdout.sync = true
library, *steps = ARGV
kept = {}
steps.each do |step|
  verb, size, url = step.match(/^([a-z]+):?(\d*) (.*)$/).captures
  uri = URI(url)
  method = { 'get' => Net::HTTP::Get, 'timeout' => Net::HTTP::Get, 'head' => Net::HTTP::Head, 'post' => Net::HTTP::Post }[verb]
  request = method.new(uri)
  unless size.empty?
    request.body = 'b' * size.to_i
    request.content_type = 'text/plain'
  end
  http = kept[uri.host + uri.port.to_s] || Net::HTTP.new(uri.host, uri.port, nil)
  begin
    http.max_retries = 0
    http.read_timeout = verb == 'timeout' ? 3 : 20
    if library == 'kept'
      http.start unless http.started?
      kept[uri.host + uri.port.to_s] = http
    end
    answer = http.request(request)
    body = answer.body || ''
    puts "#{answer.code} #{body.bytesize} #{Digest::SHA256.hexdigest(body)[0, 16]}"
  rescue StandardError => e
    puts e.class
    http.finish if http.started?
  end
end
