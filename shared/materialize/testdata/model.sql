SELECT
  _row,
  try_cast(k AS INTEGER) AS k,
  try_cast(seen AS TIMESTAMP) AS seen,
  v,
  try_cast(amount AS DECIMAL(12, 2)) AS amount
FROM {{ changes "bronze.events" }}
