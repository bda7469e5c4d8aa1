# SPDX-License-Identifier: Apache-2.0
# A Rack application with the paths of httpd.c.

SIZE = lambda { |count| [200, { 'Content-Type' => 'text/plain', 'Content-Length' => count.to_s }, ['x' * count]] }

# A body without a counted length: the server sends it in chunks.
CHUNKED = lambda do |count|
  [200, { 'Content-Type' => 'text/plain' }, Enumerator.new { |body| count.step(1, -100_000) { |left| body << 'x' * [left, 100_000].min } }]
end

DELAY = lambda do |ms|
  sleep(ms / 1000.0)
  [200, {}, ["late\n"]]
end

STATUS = ->(status) { [status, {}, [204, 304].include?(status) ? [] : ["status\n"]] }

ROUTES = { 'size' => SIZE, 'chunked' => CHUNKED, 'delay' => DELAY, 'status' => STATUS }.freeze

run lambda { |env|
  _, what, number = env['PATH_INFO'].split('/')
  next [200, {}, ["#{env['rack.input'].read.bytesize}\n"]] if what == 'echo'

  ROUTES.key?(what) ? ROUTES[what].call(number.to_i) : [404, {}, ["no such path\n"]]
}
