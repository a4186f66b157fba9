-- Makes another capture of the same moment. It is a child of the failed one, so that it is seen below it and goes with
-- it, and it is no part of the Application: nothing prunes it, and its ttlSecondsAfterFinished counts.
local os = require("os")
local spec = {}
for field, value in pairs(obj.spec) do
  spec[field] = value
end
-- A range that ends "now" means the moment of the failed capture, not that of the retry.
if obj.status ~= nil and obj.status.range ~= nil then
  spec.range = { between = { start = obj.status.range.start, ["end"] = obj.status.range["end"] } }
elseif spec.range.last ~= nil and spec.range.last["until"] == nil then
  spec.range.last["until"] = obj.metadata.creationTimestamp
end
local capture = {}
capture.apiVersion = obj.apiVersion
capture.kind = obj.kind
capture.metadata = {}
capture.metadata.name = obj.metadata.name .. "-" .. os.date("!%Y%m%d%H%M%S")
capture.metadata.namespace = obj.metadata.namespace
local owner = {}
owner.apiVersion = obj.apiVersion
owner.kind = obj.kind
owner.name = obj.metadata.name
owner.uid = obj.metadata.uid
capture.metadata.ownerReferences = { owner }
capture.spec = spec
local made = {}
made.operation = "create"
made.resource = capture
return { made }
