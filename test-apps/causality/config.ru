# SPDX-License-Identifier: Apache-2.0
# Asks the server behind it for the path it is asked for.
require "net/http"

run lambda { |env|
  body = Net::HTTP.get("127.0.0.1", env["PATH_INFO"], ENV.fetch("BEHIND").to_i)
  [200, { "Content-Type" => "text/plain", "Content-Length" => body.bytesize.to_s }, [body]]
}
