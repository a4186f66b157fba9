-- Health of a ReplayCapture, from the same conditions and in the same order as kstatus reads them: Healthy when the
-- clip is there, Degraded when it never will be.
local health = { status = "Progressing", message = "The operator has not looked at this capture yet." }
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  health.message = "The operator has not looked at the last change yet."
  return health
end
local ready = nil
for _, condition in ipairs(status.conditions) do
  if condition.type == "Reconciling" and condition.status == "True" then
    health.message = condition.message
    return health
  end
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
  if condition.type == "Ready" then
    ready = condition
  end
end
if ready == nil then
  return health
end
health.message = ready.message
if ready.status == "True" then
  health.status = "Healthy"
end
return health
