SELECT
  _row,
  try_cast(k AS INTEGER) AS k,
  try_cast(seq AS INTEGER) AS seq,
  v,
  try_cast(amount AS DECIMAL(12, 2)) AS amount,
  op,
  string_split(gaps, ',') AS gaps
FROM {{ changes "bronze.events" }}
