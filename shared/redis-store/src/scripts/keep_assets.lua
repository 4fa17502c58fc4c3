-- Keeps the records of assets and lists them. Repeating it changes nothing.
-- ARGV 1 prefix, 2 how long they are kept in ms (0 = for ever), then for each asset 4 values:
--   workspace, id, time in ms, json
for at = 3, #ARGV, 4 do
  keep_asset(ARGV[1], ARGV[at], ARGV[2], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
list_assets(ARGV[1])
return (#ARGV - 2) / 4
