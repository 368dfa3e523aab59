-- One row a changed customer; scd2 turns it into a new version and closes the one before.
SELECT
  customer_id,
  email,
  name,
  company,
  country,
  segment,
  created_at,
  updated_at AS valid_from
FROM {{ changes "silver.cleaned_customers" }}
