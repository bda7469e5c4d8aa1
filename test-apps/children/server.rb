# SPDX-License-Identifier: Apache-2.0
# Starts curl for each request, as the path's first part says, and answers with what it printed: `ruby server.rb PORT`
require "open3"
require "socket"

def started(way, argv)
  case way
  when "backticks" then `#{argv.join(' ')}`
  when "spawn"
    output, input = IO.pipe
    Process.wait(spawn({ "MORE" => "1" }, *argv, out: input))
    input.close
    output.read
  when "popen" then IO.popen(argv, &:read)
  when "open3" then Open3.capture2(*argv)[0]
  else "ready"
  end
end

server = TCPServer.new("127.0.0.1", ARGV[0].to_i)
loop do
  client = server.accept
  path = client.gets.split[1]
  nil until client.gets == "\r\n"
  body = started(path.split("/")[1], ["curl", "-s", ENV["BEHIND"] + path])
  client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
  client.close
end
