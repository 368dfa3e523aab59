SELECT
  _row,
  nullif(trim(product_id), '') AS product_id,
  trim(product_name) AS product_name,
  lower(trim(category)) AS category,
  trim(brand) AS brand,
  try_cast(unit_cost AS DECIMAL(12, 2)) AS unit_cost,
  try_cast(active AS BOOLEAN) AS active,
  _ingested_at AS received_at
FROM {{ changes "bronze.raw_products" }}
