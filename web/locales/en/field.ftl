# Errors beside fields that several pages share.
error-missing = Please fill this in
error-resident_id_format = An ID number has 18 characters; the last is a digit or X
error-resident_id_region = The first two digits of the ID number name no region
error-resident_id_birth_date = The birth date in the ID number does not exist
error-resident_id_check = One character of the ID number is not right. Check each of them
error-credit_code_format = A unified social credit code has 18 digits and capital letters (without I, O, S, V and Z)
error-credit_code_check = One character of the credit code is not right. Check each of them
error-organisation_code_check = The organisation code inside the credit code is not right. Check each character
error-card_number_format = A card number has 12 to 19 digits
error-card_number_check = One digit of the card number is not right. Check each of them
error-mobile_format = Type a mainland mobile number of 11 digits
