# A number with three digits or so, for tables; nothing for null.
def digits:
  if . == null then ""
  elif . >= 100 then (round | tostring)
  elif . >= 10 then (. * 10 | round / 10 | tostring)
  elif . >= 1 then (. * 100 | round / 100 | tostring)
  else (. * 1000 | round / 1000 | tostring)
  end;
