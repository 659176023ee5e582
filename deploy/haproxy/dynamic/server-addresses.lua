-- Keeps a map of HAProxy up to date with the addresses of servers that come and go: from BACKEND/SERVER to
-- "ADDRESS PORT", as a line for the agent begins. See one-connection.cfg.
local map = ...

core.event_sub({ "SERVER_INETADDR", "SERVER_ADD" }, function(_, data)
  -- "10.0.3.7:50051", "2001:db8:3::7:50051"; no address while a name is not resolved.
  local function write()
    local address, port = tostring(data.reference:get_addr()):match("^(.+):(%d+)$")
    if address then
      core.set_map(map, data.proxy_name .. "/" .. data.name, address .. " " .. port)
    end
  end
  write()
  -- HAProxy 3.0 may tell of the change before the server has it.
  core.msleep(100)
  write()
end)
