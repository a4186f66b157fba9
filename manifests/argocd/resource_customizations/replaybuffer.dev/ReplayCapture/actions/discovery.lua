-- A capture is tried again as another object: its own spec never changes. That helps where the cause was outside of
-- the request. These reasons say that the same request will be refused again.
local refused = {
  ["BadRequest"] = true,
  ["NoMedia"] = true,
  ["BufferTooShort"] = true,
  ["HolesInRange"] = true,
  ["UnsupportedLayout"] = true,
}
local may_succeed = false
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Stalled" and condition.status == "True" then
      may_succeed = refused[condition.reason] == nil
    end
  end
end
local actions = {}
actions["retry"] = {
  ["disabled"] = not may_succeed,
  ["displayName"] = "Save the same moment again",
  ["iconClass"] = "fa fa-fw fa-redo",
}
return actions
