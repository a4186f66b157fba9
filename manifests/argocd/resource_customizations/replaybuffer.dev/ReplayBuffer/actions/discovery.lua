local suspended = obj.spec.suspend == true
local actions = {}
actions["suspend"] = {
  ["disabled"] = suspended,
  ["displayName"] = "Suspend recording",
  ["iconClass"] = "fa fa-fw fa-pause-circle",
}
actions["resume"] = {
  ["disabled"] = not suspended,
  ["displayName"] = "Resume recording",
  ["iconClass"] = "fa fa-fw fa-play-circle",
}
actions["forget"] = {
  ["disabled"] = false,
  ["displayName"] = "Forget everything recorded until now",
  ["iconClass"] = "fa fa-fw fa-eraser",
}
return actions
