-- Keeps a map of HAProxy up to date with the addresses of servers that come and go: from BACKEND/SERVER to
-- "ADDRESS PORT", as a line for the agent begins. See one-connection.cfg.
--
-- It looks at the servers itself: HAProxy's event SERVER_INETADDR may come before the server has its new
-- address, and beyond a hundred at a time events are lost.
local map = ...
local LOOK_EVERY_MS = 200

local written = {}

local function write(server, address)
  -- "10.0.3.7:50051", "2001:db8:3::7:50051"; no address while a name is not resolved.
  local host, port = tostring(address):match("^(.+):(%d+)$")
  if host == nil or written[server] == address then return end
  core.set_map(map, server, host .. " " .. port)
  written[server] = address
end

core.register_task(function()
  while true do
    for backend, proxy in pairs(core.backends) do
      for name, server in pairs(proxy.servers) do
        write(backend .. "/" .. name, server:get_addr())
      end
    end
    core.msleep(LOOK_EVERY_MS)
  end
end)
