-- Segments that began before now are deleted, also those that an unfinished capture needs. Finished clips stay.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["replaybuffer.dev/forget-before"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
