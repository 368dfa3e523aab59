SELECT
  _row,
  CAST(PRODUCT_ID AS BIGINT) AS product_id,
  trim(NAME) AS product_name,
  lower(trim(CATEGORY)) AS category,
  CAST(UNIT_COST AS DECIMAL(12, 2)) AS unit_cost,
  CAST(UPDATED_AT AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_products" }}
